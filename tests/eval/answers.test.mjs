// Grounded answers of the embedded model: that they hold what was asked for, are verbatim, and stay away where there is no evidence.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask, Stack } from '../api/stack.mjs';
import { each, load, missing, readCollection } from './collection.mjs';

const name = 'xquad_en';
const skip = missing(name);
let stack, collection, answers; // answers: [{query, response, outcome, citations}] to the collection's own questions

const answer = async (query) => {
  const { status, body } = await stack.json('POST', '/v1/chat', ask(query.text, { retrieval: { collection: name } }));
  assert.equal(status, 200, JSON.stringify(body));
  return { query, ...body };
};

const share = (list, condition) => list.filter(condition).length / list.length;

before(async () => {
  if (skip) return;
  stack = await Stack.start({ AIB_SEED_EMPTY: 'false' });
  collection = readCollection(name);
  await load(stack, name, collection.documents);
  answers = await each(collection.queries, answer);
});
after(() => stack?.stop());

test('the answer holds the gold answer in .78 of the questions', { skip }, (t) => {
  const judged = answers.filter(({ query }) => collection.answers.has(query.id));
  const held = share(judged, ({ query, response }) => collection.answers.get(query.id).some((gold) => response.includes(gold)));
  t.diagnostic(`eval ${name}: ${held.toFixed(4)} of ${judged.length} answers hold the gold answer, at least .78`);
  assert.ok(judged.length > 1000 && held >= 0.78, `${held} of ${judged.length}`);
});

test('questions on other matters are refused, its own are answered', { skip: skip || missing('cranfield') }, async (t) => {
  const foreign = await each(readCollection('cranfield').queries, answer);
  const refused = share(foreign, ({ outcome }) => outcome === 'NO_CONTEXT');
  const answered = share(answers, ({ outcome }) => outcome === 'ANSWERED');
  t.diagnostic(`eval ${name}: ${refused.toFixed(4)} of foreign questions refused, at least .88; ${answered.toFixed(4)} of its own answered, at least .90`);
  assert.ok(refused >= 0.88, `refused ${refused}`);
  assert.ok(answered >= 0.9, `answered ${answered}`);
  for (const { outcome, citations } of [...foreign, ...answers]) assert.equal(citations.length > 0, outcome === 'ANSWERED');
});

test('every citation of a thousand answers is the stored bytes', { skip }, async () => {
  const citations = answers.filter(({ outcome }) => outcome === 'ANSWERED').map((one) => one.citations);
  assert.ok(citations.length >= 1000, `${citations.length} answers`);
  const ids = [...new Set(citations.flat().map((citation) => citation.document_id))];
  const texts = new Map(await each(ids, async (id) => {
    const { status, body } = await stack.json('GET', `/v1/documents/${id}?collection=${name}`);
    assert.equal(status, 200, id);
    return [id, Buffer.from(body.text)];
  }));
  for (const { document_id, start, end, text } of citations.flat()) {
    assert.ok(end > start);
    assert.equal(texts.get(document_id).subarray(start, end).toString(), text, `${document_id} ${start} to ${end}`);
  }
});
