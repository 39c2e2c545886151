// Embedding models as a collection's embedder: generations, rollback, a crash in the middle of a build, an upstream that is away.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeUpstream, modelsToml } from './fake_upstream.mjs';
import { eventually, Stack } from './stack.mjs';

const DOCUMENTS = 300; // of one chunk each
const UNDER_WAY_MAX = 4 * 32; // calls of one build at once, texts of a call

const AWAY = { fault: 'reset-before-headers' }; // what is asked then doesn't end "complete" in the imposter's log

let stack, upstream;
before(async () => {
  upstream = await FakeUpstream.start();
  const model = { provider: 'openai', kind: 'embedding', base_url: `${upstream.url}/v1`, retry_base_ms: 10 };
  stack = await Stack.start({ AIB_SEED_EMPTY: 'false', AIB_RETRIEVAL_EMBED_TIMEOUT_MS: '20000' }, modelsToml({
    small: { ...model, upstream_model: 'imposter?dimensions=64' },
    large: { ...model, upstream_model: 'imposter?dimensions=96' },
  }));
});
after(async () => {
  upstream.stop();
  await stack.stop();
});

// Of other words in each collection: vectors are kept by text, whoever asks for them.
const textOf = (collection, i) => `Entry number${i} of the ${collection} catalogue: gadget${i % 97} in warehouse${i % 13}, counted by shift${i % 7}, of ${i} grams.`;
const documents = (collection, from, end) =>
  Array.from({ length: end - from }, (_, i) => ({ id: `d${from + i}`, text: textOf(collection, from + i) }));

async function add(collection, from, end) {
  const { status, body } = await stack.json('POST', '/v1/documents', { collection, documents: documents(collection, from, end) });
  assert.ok(status < 300, JSON.stringify(body));
}

async function start(kind, collection, params = {}) {
  const { status, body } = await stack.json('POST', '/v1/jobs', { kind, collection, params });
  assert.equal(status, 202, JSON.stringify(body));
  return body.job_id;
}

const jobDone = (id) =>
  eventually(async () => {
    const { body } = await stack.json('GET', `/v1/jobs/${id}`);
    return ['SUCCEEDED', 'FAILED', 'CANCELLED'].includes(body.status) && body;
  }, `job ${id}`, 240_000);

async function succeeds(kind, collection, params) {
  const done = await jobDone(await start(kind, collection, params));
  assert.equal(done.status, 'SUCCEEDED', JSON.stringify(done));
  return done.result;
}

const index = (collection, embedder) => succeeds('index_documents', collection, { embedder });
const info = async (collection) => (await stack.json('GET', `/v1/collections/${collection}`)).body;

async function find(collection, query, mode = 'hybrid') {
  const { status, body } = await stack.json('POST', '/v1/retrieve', { collection, query, mode, top_k: 3 });
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

// How often each text was embedded, by model: of calls that were answered.
async function embedded() {
  const counts = { small: new Map(), large: new Map() };
  for (const { path, body, ended } of await upstream.requests()) {
    if (!path.endsWith('/embeddings') || ended !== 'complete') continue;
    const of = counts[body.model.endsWith('64') ? 'small' : 'large'];
    for (const text of body.input) of.set(text, (of.get(text) ?? 0) + 1);
  }
  return counts;
}
const repeated = (of) => [...of.values()].filter((count) => count > 1).length;

test('fitted, one model, another, and back, while queries run: none errs, and no text is embedded twice', { timeout: 400_000 }, async () => {
  await upstream.reset();
  await add('switched', 0, DOCUMENTS);
  assert.equal((await info('switched')).serving.embedder, 'fitted');

  let going = true;
  const asked = new Set(), generations = new Set();
  const loop = (async () => {
    for (let i = 0; going; i = (i + 1) % 50) {
      asked.add(textOf('switched', i));
      const { matches, mode, generation } = await find('switched', textOf('switched', i), 'dense');
      assert.equal(mode, 'dense');
      assert.equal(matches[0].document_id, `d${i}`);
      generations.add(generation);
    }
  })();
  const results = [await index('switched', 'small'), await index('switched', 'large'), await succeeds('rollback_index', 'switched')];
  going = false;
  await loop;

  assert.deepEqual(results.map(({ embedder }) => embedder), ['small', 'large', 'small']);
  const [first] = results.map(({ generation }) => Number(generation));
  assert.deepEqual(results.map(({ generation }) => Number(generation)), [first, first + 1, first + 2]);
  const { serving, former, unembedded_chunks } = await info('switched');
  assert.deepEqual([serving.number, serving.embedder, serving.dimensions, Number(unembedded_chunks)], [first + 2, 'small', 64, 0]);
  assert.deepEqual(former.map(({ embedder, dimensions }) => [embedder, dimensions]).slice(0, 2), [['large', 96], ['small', 64]]);
  assert.ok([...generations].every((number) => number >= first - 1 && number <= first + 2));

  const { small, large } = await embedded();
  for (const of of [small, large]) {
    for (let i = 0; i < DOCUMENTS; i++) {
      // Of a document once, and once more as a query, which is no document.
      const times = of.get(textOf('switched', i)) ?? 0;
      assert.ok(times === 1 || (times === 2 && asked.has(textOf('switched', i))), `${i}: ${times}`);
    }
    assert.equal(of.size, DOCUMENTS);
  }
});

test('an embedder that nobody knows, and a generation that never was, are refused at once', async () => {
  const { status, body } = await stack.json('POST', '/v1/jobs', { params: { embedder: 'other' } });
  assert.deepEqual([status, body.error.reason, body.error.field], [404, 'MODEL_NOT_FOUND', 'params.embedder']);
  const { body: none } = await stack.json('POST', '/v1/jobs', { kind: 'rollback_index', collection: 'switched', params: { generation: 99 } });
  assert.deepEqual([none.error.reason, none.error.field], ['FIELD_INVALID', 'params.generation']);
  const { body: missing } = await stack.json('POST', '/v1/jobs', { kind: 'rollback_index', collection: 'nowhere' });
  assert.equal(missing.error.reason, 'COLLECTION_NOT_FOUND');
});

test('kill -9 in the middle of a build: the old one serves, the build goes on, what was embedded stays so', { timeout: 400_000 }, async () => {
  await upstream.reset();
  await add('killed', 0, DOCUMENTS);
  const before = (await info('killed')).serving;
  await upstream.control({ firstTokenDelayMs: 200 });
  const job = await start('index_documents', 'killed', { embedder: 'small' });
  const { progress } = await eventually(async () => {
    const { body } = await stack.json('GET', `/v1/jobs/${job}`);
    assert.ok(['QUEUED', 'RUNNING'].includes(body.status), JSON.stringify(body));
    return body.progress?.done > DOCUMENTS && body;
  }, 'some chunks are embedded', 60_000);
  await stack.server.stop('SIGKILL');
  const kept = progress.done - DOCUMENTS; // a step a document, then one a chunk
  assert.ok(kept < DOCUMENTS, 'killed too late');
  const was = await embedded();

  await upstream.control(AWAY); // so that the old one is seen
  await stack.startServer();
  await stack.ready();
  assert.equal((await info('killed')).serving.number, before.number);
  assert.equal((await find('killed', textOf('killed', 7), 'dense')).matches[0].document_id, 'd7');
  assert.equal((await find('killed', textOf('killed', 7), 'dense')).generation, before.number);
  await upstream.control({});
  let done = await jobDone(job);
  if (done.status === 'FAILED') done = await jobDone(await start('index_documents', 'killed', { embedder: 'small' }));
  assert.equal(done.status, 'SUCCEEDED', JSON.stringify(done));
  assert.equal((await info('killed')).serving.embedder, 'small');

  const { small } = await embedded();
  assert.equal([...small.keys()].filter((text) => text.startsWith('Entry')).length, DOCUMENTS);
  const again = repeated(small);
  assert.ok(again <= was.small.size - kept, `${again} again, of ${was.small.size} answered and ${kept} kept`);
  assert.ok(again <= UNDER_WAY_MAX);
});

test('an upstream that is away: queries are left to the word legs, documents are stored, and embedded when it is back', { timeout: 400_000 }, async () => {
  await upstream.reset();
  await add('away', 0, 40);
  await index('away', 'small');
  assert.equal((await find('away', 'gadget7 in warehouse7')).mode, 'hybrid');
  await upstream.control(AWAY);
  const { mode, matches } = await find('away', 'number7 gadget');
  assert.equal(mode, 'lexical');
  assert.equal(matches[0].document_id, 'd7');
  await add('away', 100, 103);
  assert.equal((await find('away', 'number101')).matches[0].document_id, 'd101');
  assert.equal(Number((await info('away')).unembedded_chunks), 3);

  await upstream.control({});
  await eventually(async () => {
    await find('away', `anything new ${Date.now()}`);
    return Number((await info('away')).unembedded_chunks) === 0;
  }, 'the chunks are embedded', 120_000);
  const found = await find('away', textOf('away', 102), 'dense');
  assert.deepEqual([found.mode, found.matches[0].document_id], ['dense', 'd102']);
  const { small } = await embedded();
  assert.ok([...small].every(([text, count]) => count === 1 || text === textOf('away', 102)), 'once each, but for the query');

  // A rollback needs no upstream.
  await index('away', 'large');
  await upstream.control(AWAY);
  const { embedder } = await succeeds('rollback_index', 'away');
  assert.equal(embedder, 'small');
  assert.equal(Number((await info('away')).unembedded_chunks), 0);
});

test('an index job whose embedder stays away fails with its error, and the old generation serves on', { timeout: 400_000 }, async () => {
  await upstream.reset();
  await add('stays', 0, 40);
  const { number } = (await info('stays')).serving;
  await upstream.control({ fault: 'http-503' });
  const done = await jobDone(await start('index_documents', 'stays', { embedder: 'large' }));
  assert.deepEqual([done.status, done.error.reason], ['FAILED', 'UPSTREAM_UNAVAILABLE']);
  assert.equal((await info('stays')).serving.number, number);
  assert.equal((await find('stays', textOf('stays', 3), 'dense')).mode, 'dense');
});
