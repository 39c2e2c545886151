// kill -9 at fifty moments of ingest and of generation builds, over one data folder: what was acknowledged is there, what was
// not is there wholly or not at all, counts agree, and every document is found. AIB_CRASH_SEED repeats a run's choices (what the
// moments hit still varies), AIB_CRASH_KILLS says how many.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { assertNoTwins, call, commonWord, forContract, isVerbatim, listAll, Maker, randomFrom, structOf } from './made_documents.mjs';
import { eventually, freePort, Stack } from './stack.mjs';

const kills = Number(process.env.AIB_CRASH_KILLS ?? 50);
const seed = Number(process.env.AIB_CRASH_SEED ?? Date.now() % 1_000_000);
const collection = 'kept';
const fitted = 30; // chunks from which on an embedding is fitted
const kept = { least: 70, most: 110 }; // documents: enough for a fit, few enough to ask for each
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The server alone, spoken to over gRPC, that is killed and started again on the same folder.
class Crashing extends Stack {
  static async start() {
    const stack = new Crashing();
    stack.dataDir = await mkdtemp(path.join(os.tmpdir(), 'aib-crash-'));
    stack.port = await freePort();
    stack.target = `127.0.0.1:${stack.port}`;
    stack.env = { AIB_SERVER_LISTEN: stack.target, AIB_DATA_DIR: stack.dataDir, AIB_SEED_EMPTY: 'false' };
    await stack.startServer();
    await stack.ready();
    return stack;
  }
  async ready() {
    await eventually(() => {
      if (this.server.exit) throw new Error(`ended before it was ready: ${this.server.log}`);
      return new Promise((resolve) => {
        const socket = net.connect(this.port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
        socket.on('error', () => resolve(false));
      });
    }, 'the server listens');
    this.client = null; // a channel that saw the old server waits before it tries again
    this.grpc();
  }
  async kill() {
    await this.server.stop('SIGKILL');
    assert.equal(this.server.exit.signal, 'SIGKILL', `it had ended by itself: ${this.server.log.slice(-4000)}`);
    this.client.close();
  }
  async stop() {
    this.client.close();
    const { code } = await this.server.stop();
    assert.equal(code, 0, this.server.log.slice(-4000));
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

// What the collection may hold: for each id the versions of which one must be there (null: none). Acknowledged: one version.
// What one call does to several ids is done to all or to none, so a call that was not acknowledged is kept whole.
class Model {
  documents = new Map(); // id → document
  dead = []; // words of versions that are gone
  pending = new Set(); // calls without an answer: [[id, document or null], …]
  acknowledged = 0;
  onAcknowledged = () => {};

  // Runs a call whose effect, if it has one, is `effect`. Gives up quietly where the server was killed.
  async change(effect, run) {
    this.pending.add(effect);
    const answer = await run().catch((error) => {
      if ([grpc.status.UNAVAILABLE, grpc.status.CANCELLED].includes(error.code)) return null;
      throw error;
    });
    if (answer === null) return null;
    this.pending.delete(effect);
    this.apply(effect);
    this.acknowledged += 1;
    this.onAcknowledged();
    return answer;
  }
  apply(effect) {
    for (const [id, document] of effect) {
      const before = this.documents.get(id);
      if (before) this.dead.push(before.word);
      document ? this.documents.set(id, document) : this.documents.delete(id);
    }
  }
  // Decides what became of the calls without an answer, by what the server has now: for each all of it, or nothing.
  async settle(textOf) {
    for (const effect of this.pending) {
      const there = [];
      for (const [id, document] of effect) {
        const text = await textOf(id);
        const [before, after] = [this.documents.get(id)?.text ?? null, document?.text ?? null];
        assert.ok(text === before || text === after, `${id} is neither what it was nor what it was to be: ${text}`);
        there.push(text === after);
      }
      assert.equal(new Set(there).size, 1, `a call's effect is there in part: ${effect.map(([id], i) => `${id} ${there[i]}`)}`);
      if (there[0]) this.apply(effect);
      else for (const [, document] of effect) if (document) this.dead.push(document.word);
    }
    this.pending.clear();
  }
}

const random = randomFrom(seed);
const maker = new Maker(random);
const model = new Model();
const jobs = []; // {key, request, id once known, effect}
const seen = { unanswered: 0, secondAttempts: 0, killedWhileStarting: 0, generation: 0 };
let stack;
let nextId = 0;
const newId = () => `note-${(nextId += 1)}`;

// --- The work that is interrupted. Each writer goes on until the server is gone; no two touch the same id in one round.

// Of the documents there are, those that this round's job leaves alone and that end like this.
function idsLike(pattern) {
  const ofTheJob = new Set(jobs.at(-1).effect.map(([id]) => id));
  return [...model.documents.keys()].filter((id) => pattern.test(id) && !ofTheJob.has(id));
}

async function addInBatches(isOver) {
  const mine = idsLike(/[5-9]$/);
  while (!isOver()) {
    const isFull = model.documents.size >= kept.most;
    const ids = new Set(Array.from({ length: 1 + random.below(12) }, () => (mine.length && (isFull || random.below(2)) ? random.of(mine) : newId())));
    const documents = [...ids].map((id) => maker.document(id));
    const answer = await model.change(documents.map((d) => [d.id, d]), () =>
      call(stack.client, 'AddDocuments', { collection, documents: documents.map(forContract) }));
    if (!answer) return;
    assert.deepEqual(answer.documents.map((d) => d.id), documents.map((d) => d.id));
  }
}

async function deleteSome(isOver) {
  const mine = idsLike(/[0-4]$/);
  while (!isOver() && mine.length && model.documents.size > kept.least) {
    const [id] = mine.splice(random.below(mine.length), 1);
    if (!(await model.change([[id, null]], () => call(stack.client, 'DeleteDocument', { collection, id })))) return;
  }
}

// A whole collection comes and goes; it is looked at after the round.
const brief = { name: 'brief', documents: [], mayBeThere: false, mustBeThere: false };
async function fillAndDrop(isOver) {
  while (!isOver()) {
    if (!brief.mustBeThere) {
      brief.documents = Array.from({ length: 35 }, (_, i) => maker.document(`brief-${i}`));
      brief.mayBeThere = true;
      await call(stack.client, 'AddDocuments', { collection: brief.name, documents: brief.documents.map(forContract) });
      brief.mustBeThere = true;
    } else {
      brief.mustBeThere = false;
      await call(stack.client, 'DeleteCollection', { collection: brief.name });
      brief.mayBeThere = false;
    }
  }
}

async function startJob(job) {
  const metadata = new grpc.Metadata();
  metadata.set('idempotency-key', job.key);
  const { job_id } = await call(stack.client, 'StartJob', job.request, metadata);
  assert.ok(!job.id || job.id === job_id, 'the same key gave another job');
  job.id = job_id;
}

// One job a round: with documents of its own (more than the 50 that are stored at a time), or the index anew.
async function rebuild() {
  const documents = random.below(3) ? [] : Array.from({ length: 60 }, (_, i) => maker.document(`bulk-${i}`));
  const params = documents.length ? { documents: documents.map(forContract) } : {};
  const job = {
    key: `job-${jobs.length}`,
    effect: documents.map((d) => [d.id, d]),
    request: { kind: 'index_documents', collection, params: structOf(params) },
  };
  jobs.push(job);
  await startJob(job);
  return job;
}

// --- When to kill

const moments = {
  // At any time.
  time: () => later(random.below(300)),
  // Right after an answer went out: it must hold.
  answer: () => new Promise((resolve) => {
    const count = model.acknowledged + 1 + random.below(8);
    model.onAcknowledged = () => { if (model.acknowledged >= count) resolve(); };
  }),
  // While a job runs: a little after it was seen to.
  running: async (job) => {
    await waitForJob(job, (state) => state.status !== 'QUEUED');
    await later(random.below(120));
  },
  // When a job's progress was seen, or its end.
  progress: (job) => waitForJob(job, (state) => state.progress.total > 0 || state.status === 'SUCCEEDED'),
};

async function waitForJob(job, isReached) {
  const { id } = await job;
  return eventually(async () => {
    const state = await call(stack.client, 'GetJob', { job_id: id });
    assert.notEqual(state.status, 'FAILED', JSON.stringify(state.error));
    return isReached(state) && state;
  }, `job ${id}`);
}

// --- What must hold afterwards

// The file itself, in a copy: the server finds it as the kill left it.
async function checkFile() {
  const copy = await mkdtemp(path.join(os.tmpdir(), 'aib-crash-db-'));
  for (const name of ['aibackend.db', 'aibackend.db-wal']) {
    await copyFile(path.join(stack.dataDir, name), path.join(copy, name)).catch((error) => assert.equal(error.code, 'ENOENT'));
  }
  const said = execFileSync('sqlite3', [path.join(copy, 'aibackend.db'), 'PRAGMA integrity_check; PRAGMA foreign_key_check;'], { encoding: 'utf8' });
  assert.equal(said.trim(), 'ok');
  await rm(copy, { recursive: true });
}

const textOf = (id, name = collection) =>
  call(stack.client, 'GetDocument', { collection: name, id }).then((d) => d.text, (error) => {
    assert.equal(error.code, grpc.status.NOT_FOUND, String(error));
    return null;
  });

const search = (query, mode, top_k, name = collection) => call(stack.client, 'Retrieve', { collection: name, query, mode, top_k });

// Those that were acknowledged run to their end; those that may have been stored are asked for again by their key.
async function finishJobs() {
  for (const job of jobs) {
    if (job.isDone) continue;
    await startJob(job);
    const state = await waitForJob(job, ({ status }) => status === 'SUCCEEDED');
    job.isDone = true;
    if (state.attempts > 1) seen.secondAttempts += 1;
    model.apply(job.effect);
    const { added, updated, unchanged } = state.result.fields;
    assert.equal(added.numberValue + updated.numberValue + unchanged.numberValue, job.effect.length);
    seen.generation = Math.max(seen.generation, state.result.fields.generation.numberValue);
  }
  // The others are the server's own, for a collection that has outgrown its embedding.
  const ids = await eventually(async () => {
    const all = (await call(stack.client, 'ListJobs', { page_size: 1000 })).jobs;
    assert.ok(all.every(({ status }) => status !== 'FAILED'), JSON.stringify(all));
    return all.every(({ status }) => status === 'SUCCEEDED') && all.map((job) => job.job_id);
  }, 'all jobs are done');
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(jobs.filter((job) => !ids.includes(job.id)), [], 'a job got lost');
}

async function checkCounts() {
  const listed = await listAll(stack.client, collection);
  assert.deepEqual(listed.map((d) => d.id).sort(), [...model.documents.keys()].sort());
  const chunks = listed.reduce((sum, d) => sum + d.chunks, 0);
  const info = await call(stack.client, 'GetCollection', { collection });
  assert.equal(Number(info.documents), listed.length);
  assert.equal(Number(info.chunks), chunks);
  assert.ok(chunks >= fitted);
  const all = await search(commonWord, 'lexical', 1000);
  assert.equal(all.matches.length, chunks, 'as many chunks can be found as there are');
  assertNoTwins(all.matches, 'of all');
  assert.equal(all.generation, info.serving.number);
  assert.ok(all.generation >= seen.generation, `generation ${all.generation} after ${seen.generation}`);
  seen.generation = all.generation;
}

function checkMatches({ matches }, texts, what) {
  assertNoTwins(matches, what);
  for (const match of matches) {
    const text = texts.get(match.document_id)?.text;
    assert.ok(text !== undefined, `${what}: ${match.document_id} is not there, but found`);
    assert.ok(isVerbatim(match, text), `${what}: ${match.chunk_id} is not what is stored`);
  }
}

async function checkSearches() {
  await Promise.all([...model.documents.values()].map(async ({ id, text, word }) => {
    assert.equal(await textOf(id), text, `${id} as it was acknowledged`);
    for (const mode of ['lexical', 'hybrid']) {
      const found = await search(word, mode, 3);
      assert.equal(found.mode, mode);
      assert.equal(found.matches[0]?.document_id, id, `${id} by its word ${word}, ${mode}`);
      assert.ok(found.matches[0].text.includes(word) || text.length > 2000);
      checkMatches(found, model.documents, word);
    }
  }));
  await Promise.all(model.dead.slice(-60).map(async (word) => {
    const found = await search(word, 'lexical', 3);
    assert.deepEqual(found.matches.filter((match) => match.text.includes(word)), [], `${word} is gone`);
  }));
}

async function checkBrief() {
  const listed = await listAll(stack.client, brief.name);
  if (brief.mustBeThere || !brief.mayBeThere) assert.equal(listed.length, brief.mustBeThere ? brief.documents.length : 0);
  brief.mustBeThere = brief.mayBeThere = listed.length > 0;
  const found = await search(commonWord, 'lexical', 1000, brief.name);
  if (!listed.length) {
    assert.equal(found.matches.length, 0);
    await assert.rejects(call(stack.client, 'GetCollection', { collection: brief.name }), { code: grpc.status.NOT_FOUND });
    return;
  }
  assert.equal(listed.length, brief.documents.length, 'one call, or one deletion, in part');
  checkMatches(found, new Map(brief.documents.map((d) => [d.id, d])), brief.name);
  assert.equal(found.matches.length, listed.reduce((sum, d) => sum + d.chunks, 0));
}

// --- A round

const ignoreKilled = (promise) => promise.catch((error) => {
  if (![grpc.status.UNAVAILABLE, grpc.status.CANCELLED].includes(error.code)) throw error;
});

async function workUntilKilled() {
  let isOver = false;
  const job = rebuild();
  const started = ignoreKilled(job);
  const writers = [addInBatches, deleteSome, fillAndDrop].map((write) => ignoreKilled(write(() => isOver)));
  const name = random.of(Object.keys(moments));
  const moment = moments[name](job);
  await Promise.race([moment, Promise.all(writers).then(() => moment)]);
  await stack.kill();
  isOver = true;
  await Promise.all([started, ...writers]);
  if (model.pending.size || !jobs.at(-1).id) seen.unanswered += 1;
  return name;
}

async function restart() {
  let killed = 0;
  await stack.startServer();
  if (random.below(4) === 0) {
    await later(random.below(250));
    await stack.kill();
    seen.killedWhileStarting += 1;
    killed = 1;
    await stack.startServer();
  }
  await stack.ready();
  return killed;
}

test(`${kills} times kill -9 while documents are stored and indexes are built (seed ${seed})`, { timeout: 580_000 }, async (t) => {
  stack = await Crashing.start();
  t.after(() => stack.server.child.kill('SIGKILL')); // where it failed
  const first = Array.from({ length: kept.least }, () => maker.document(newId()));
  await model.change(first.map((d) => [d.id, d]), () => call(stack.client, 'AddDocuments', { collection, documents: first.map(forContract) }));
  for (let killed = 0; killed < kills;) {
    const moment = await workUntilKilled();
    await checkFile();
    const [pending, answered] = [model.pending.size, model.acknowledged];
    killed += 1 + (await restart());
    await model.settle(textOf);
    await finishJobs();
    await checkCounts();
    await checkSearches();
    await checkBrief();
    t.diagnostic(`kill ${killed} (${moment}): ${answered} answers so far, ${pending} calls cut off, ${model.documents.size} documents, generation ${seen.generation}`);
  }
  t.diagnostic(JSON.stringify(seen));
  await stack.stop();
  // The moments were worth something.
  assert.ok(seen.unanswered >= kills / 5, 'calls were cut off');
  assert.ok(seen.secondAttempts >= kills / 10, 'jobs were cut off');
});
