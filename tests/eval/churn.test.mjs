// A collection that had a troubled life ranks as one that was loaded at once, and what was deleted stays away.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, Stack } from '../api/stack.mjs';
import { add, each, evaluate, load, missing, readCollection, remove, retrieve, runJob } from './collection.mjs';

const skip = missing('cranfield');
const tolerance = 0.01; // of nDCG@10
const name = 'churned';

let stack, collection, clean;
before(async () => {
  if (skip) return;
  stack = await Stack.start({ AIB_SEED_EMPTY: 'false' });
  collection = readCollection('cranfield');
  await load(stack, 'clean', collection.documents);
  clean = (await evaluate(stack, 'clean', collection)).ndcg_at_10;
});
after(() => stack?.stop());

// Text of `bytes` bytes in sentences, with a word in each that stands nowhere else.
function longText(bytes, word) {
  const sentences = [];
  for (let size = 0, i = 0; size < bytes; ++i) {
    sentences.push(`The ${word} of section ${i} bends the flow over wing${i % 400} at station${i % 777}.`);
    size += sentences.at(-1).length + 1;
  }
  return sentences.join(' ');
}

async function statuses(documents) {
  const { status, body } = await stack.json('POST', '/v1/documents', { collection: name, documents });
  assert.equal(status, 200, JSON.stringify(body));
  return body.documents;
}

// Waits until no job is left: a collection that has outgrown its embedding, or lost much of what that was fitted on, has a new one made.
const settled = () =>
  eventually(async () => {
    const { body } = await stack.json('GET', '/v1/jobs?page_size=1000');
    return body.jobs.every(({ status }) => !['QUEUED', 'RUNNING'].includes(status));
  }, 'jobs in the background end', 600_000);

// None of `ids` comes back for any of `queries`, in any mode.
async function expectGone(ids, queries) {
  for (const mode of ['hybrid', 'dense', 'lexical']) {
    await each(queries, async (query) => {
      const { matches } = await retrieve(stack, name, query, { mode, top_k: 100 });
      const back = matches.filter((match) => ids.has(match.document_id));
      assert.deepEqual(back.map((match) => match.document_id), [], `${mode}: ${query}`);
    });
  }
}

test('halves, a giant, duplicates and deletions between leave what one clean load has', { skip }, async (t) => {
  const half = collection.documents.length / 2;
  const [first, second] = [collection.documents.slice(0, half), collection.documents.slice(half)];
  await load(stack, name, first);

  const refused = await stack.json('POST', '/v1/documents', { collection: name, documents: [{ id: 'empty', text: '' }] });
  assert.equal(refused.status, 400);
  assert.deepEqual([refused.body.error.reason, refused.body.error.field], ['FIELD_REQUIRED', 'documents[0].text']);

  const giant = { id: 'giant', title: 'Giant', text: longText(5 << 20, 'quixotronium') };
  assert.ok((await statuses([giant]))[0].chunks > 1000);
  const { matches } = await retrieve(stack, name, 'quixotronium');
  assert.equal(matches[0].document_id, 'giant');
  await add(stack, name, second);
  await remove(stack, name, 'giant');
  const gone = new Set(['giant']);
  const questions = ['quixotronium', 'the quixotronium of section 42 at station777'];
  await expectGone(gone, questions);

  const same = await statuses(collection.documents.slice(100, 140));
  assert.ok(same.every(({ status }) => status === 'UNCHANGED'));
  const nameless = collection.documents.slice(200, 240).map(({ title, text }) => ({ title, text }));
  const copies = await statuses(nameless);
  assert.ok(copies.every(({ status }) => status === 'ADDED'));
  assert.deepEqual((await statuses(nameless)).map(({ id, status }) => [id, status]), copies.map(({ id }) => [id, 'UNCHANGED']));
  await each(copies, ({ id }) => remove(stack, name, id));
  copies.forEach(({ id }) => gone.add(id));

  const fifth = collection.documents.filter((_, i) => i % 5 === 0);
  await each(fifth, ({ id }) => remove(stack, name, id));
  await expectGone(new Set([...gone, ...fifth.map(({ id }) => id)]), fifth.slice(0, 20).map(({ title }) => title));
  await add(stack, name, fifth);

  questions.push(...nameless.slice(0, 20).map(({ title }) => title));
  const compare = async (when) => {
    await expectGone(gone, questions);
    const { ndcg_at_10: ndcg } = await evaluate(stack, name, collection);
    t.diagnostic(`eval cranfield, ${when}: nDCG@10 ${ndcg.toFixed(4)}, loaded at once ${clean.toFixed(4)}`);
    assert.ok(Math.abs(ndcg - clean) <= tolerance, `${when}: ${ndcg}, clean ${clean}`);
  };
  await expectGone(gone, questions);
  await settled();
  await compare('churned');
  await runJob(stack, 'index_documents', name);
  await compare('indexed anew');
  await stack.server.stop();
  assert.equal(stack.server.exit.code, 0, stack.server.log.slice(-4000));
  await stack.startServer();
  await stack.ready();
  await compare('after a restart');
});
