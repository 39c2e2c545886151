// `aibackend eval`: its table says what REST measures, and nothing of it stays behind.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { Process, Stack } from '../api/stack.mjs';
import { evaluate, fileOf, load, missing, readCollection } from './collection.mjs';

const name = 'covid_faq';
const skip = missing(name);
const files = ['--queries', fileOf(name, 'queries.jsonl'), '--qrels', fileOf(name, 'qrels.tsv')];
const tolerance = 0.001;

let stack;
before(async () => (stack = await Stack.start({ AIB_SEED_EMPTY: 'false' })));
after(() => stack.stop());

async function run(...args) {
  const process = new Process('aibackend', ['--server', stack.target, 'eval', ...args]);
  const [code] = await once(process.child, 'close'); // by then all output is there
  return { code, log: process.log };
}

const collections = async () =>
  (await stack.json('GET', '/v1/collections')).body.collections.map((collection) => collection.name);

// {hybrid: {ndcg_at_10, …}, …} of the printed table.
function parseTable(text) {
  const keys = { 'nDCG@10': 'ndcg_at_10', 'Recall@100': 'recall_at_100', 'MRR@10': 'mrr_at_10' };
  const rows = text.trimEnd().split('\n').map((line) => line.split(/\s{2,}/));
  const modes = rows.find(([first]) => first === 'MEASURE').slice(1);
  return Object.fromEntries(modes.map((mode, i) => [
    mode,
    Object.fromEntries(rows.filter(([first]) => keys[first]).map((row) => [keys[row[0]], Number(row[i + 1])])),
  ]));
}

test('the table has the figures that REST measures, and the collection is gone afterwards', { skip }, async () => {
  const { code, log } = await run('--docs', fileOf(name, 'docs.jsonl'), ...files);
  assert.equal(code, 0, log);
  const table = parseTable(log);
  assert.deepEqual(Object.keys(table), ['hybrid', 'dense', 'lexical']);
  assert.deepEqual(await collections(), []);

  const collection = readCollection(name);
  await load(stack, name, collection.documents);
  for (const [mode, figures] of Object.entries(table)) {
    const measured = await evaluate(stack, name, collection, mode, 300);
    for (const [key, value] of Object.entries(measured)) {
      assert.ok(Math.abs(figures[key] - value) <= tolerance, `${mode} ${key}: ${figures[key]}, REST ${value}`);
    }
  }

  const stored = await run('--collection', name, '--modes', 'hybrid', '--json', ...files);
  assert.equal(stored.code, 0, stored.log);
  const result = JSON.parse(stored.log);
  assert.deepEqual(Object.keys(result.modes), ['hybrid']);
  assert.ok(Math.abs(result.modes.hybrid.ndcg_at_10 - table.hybrid.ndcg_at_10) <= tolerance);
  assert.deepEqual(await collections(), [name]);
});

test('--keep keeps the collection, and one that is in use is not touched', { skip }, async () => {
  const arguments_ = ['--docs', fileOf(name, 'docs.jsonl'), '--collection', 'kept', '--keep', ...files];
  assert.equal((await run(...arguments_)).code, 0);
  assert.ok((await collections()).includes('kept'));
  const again = await run(...arguments_.filter((argument) => argument !== '--keep'));
  assert.equal(again.code, 2);
  assert.match(again.log, /kept holds documents already/);
  assert.ok((await collections()).includes('kept'));
});
