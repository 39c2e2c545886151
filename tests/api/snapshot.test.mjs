// A start with the snapshot of an index, and with one that is damaged.
import assert from 'node:assert/strict';
import { open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, Stack } from './stack.mjs';

const kDocuments = 2000;
const queries = ['gadget5 in warehouse3', 'entry number1234', 'what does shift2 count?', 'weighs 77 grams'];

let stack;
let first;
before(async () => {
  stack = await Stack.start({ AIB_SEED_EMPTY: 'false' });
  const documents = Array.from({ length: kDocuments }, (_, i) => ({
    id: `many-${i}`,
    title: `Item ${i}`,
    text: `The catalogue entry number${i} describes gadget${i % 97} in warehouse${i % 13}. `
      + `It was counted by shift${i % 7} and weighs ${i} grams.`,
  }));
  for (let i = 0; i < kDocuments; i += 100) {
    const { status } = await stack.json('POST', '/v1/documents', { documents: documents.slice(i, i + 100) });
    assert.equal(status, 200);
  }
  await stack.json('POST', '/process', {});
  await eventually(async () => {
    const { body } = await stack.json('GET', '/v1/jobs');
    return body.jobs.every((job) => job.status === 'SUCCEEDED');
  }, 'every generation that was asked for', 240_000);
  first = await answers();
});
after(() => stack.stop());

async function answers() {
  const all = [];
  for (const mode of ['hybrid', 'lexical', 'dense']) {
    for (const query of queries) {
      const target = `/v1/retrieve?${new URLSearchParams({ query, mode, top_k: '10' })}`;
      const { status, body } = await stack.json('GET', target);
      assert.equal(status, 200);
      all.push(body);
    }
  }
  return all;
}

// Ends the server with `signal`, lets `meanwhile` happen, starts it again; gives the new one's log.
async function restart(signal, meanwhile = async () => {}) {
  await stack.server.stop(signal);
  await meanwhile();
  await stack.startServer();
  await stack.ready();
  return stack.server.log;
}

const indexFolder = () => path.join(stack.dataDir, 'index');
async function snapshot() {
  const files = (await readdir(indexFolder())).filter((name) => name.endsWith('.snapshot'));
  assert.equal(files.length, 1);
  return path.join(indexFolder(), files[0]);
}

test('a restart loads the snapshot and answers as before', async () => {
  const log = await restart('SIGTERM');
  assert.match(log, /event=index_loaded collection=default tenant=default from=snapshot documents=2000/);
  assert.deepEqual(await answers(), first);
  assert.equal((await stat(indexFolder())).mode & 0o777, 0o700);
  assert.equal((await stat(await snapshot())).mode & 0o777, 0o600);
});

test('what came and went before a kill is seen after it', async () => {
  const added = { documents: [{ id: 'zanzibar', text: 'The zanzibar protocol encrypts turnips.' }] };
  assert.equal((await stack.json('POST', '/v1/documents', added)).status, 200);
  assert.equal((await stack.json('DELETE', '/v1/documents/many-1234')).status, 200);
  const log = await restart('SIGKILL');
  assert.match(log, /from=snapshot documents=2000/);
  const found = await stack.json('GET', '/v1/retrieve?query=zanzibar+turnips&top_k=1');
  assert.equal(found.body.matches[0].document_id, 'zanzibar');
  const gone = await stack.json('GET', '/v1/retrieve?query=entry+number1234&top_k=100');
  assert.ok(gone.body.matches.every((match) => match.document_id !== 'many-1234'));
});

test('a snapshot with a wrong byte is ignored, and made again', async () => {
  await stack.json('DELETE', '/v1/documents/zanzibar');
  const before = await answers();
  const log = await restart('SIGTERM', async () => {
    const file = await open(await snapshot(), 'r+');
    const { size } = await file.stat();
    const at = Math.floor(size / 2);
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
    await file.write(Buffer.from([buffer[0] ^ 0x40]), 0, 1, at);
    await file.close();
  });
  assert.match(log, /warning event=snapshot_ignored collection=default/);
  assert.match(log, /event=index_loaded collection=default tenant=default from=documents documents=1999/);
  // The fit is a new one, and the lexical legs need none.
  const lexical = (all) => all.slice(queries.length, 2 * queries.length).map((body) => body.matches);
  assert.deepEqual(lexical(await answers()), lexical(before));
  assert.match(await restart('SIGTERM'), /from=snapshot documents=1999/);
});

test('a collection that is deleted takes its snapshot along', async () => {
  assert.equal((await stack.json('DELETE', '/v1/collections/default')).status, 200);
  assert.deepEqual(await readdir(indexFolder()), []);
});
