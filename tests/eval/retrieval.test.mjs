// How good retrieval is for those who use it: measured through REST over the real binaries, on public test collections.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Stack } from '../api/stack.mjs';
import { evaluate, load, missing, readCollection } from './collection.mjs';

// nDCG@10 that the method must reach; nothing is tuned to one collection.
const bounds = {
  cranfield: { hybrid: 0.565, dense: 0.54 },
  cisi: { hybrid: 0.42 },
  xquad_en: { hybrid: 0.97 },
  covid_faq: { hybrid: 0.67 },
  jsquad_valid: { hybrid: 0.935 },
};

let stack;
before(async () => (stack = await Stack.start({ AIB_SEED_EMPTY: 'false' })));
after(() => stack.stop());

for (const [name, modes] of Object.entries(bounds)) {
  test(`${name}: nDCG@10 through GET /v1/retrieve`, { skip: missing(name) }, async (t) => {
    const collection = readCollection(name);
    await load(stack, name, collection.documents);
    for (const [mode, least] of Object.entries(modes)) {
      const { ndcg_at_10: ndcg } = await evaluate(stack, name, collection, mode);
      t.diagnostic(`eval ${name}, ${mode}: nDCG@10 ${ndcg.toFixed(4)}, at least ${least}`);
      assert.ok(ndcg >= least, `${mode}: ${ndcg}`);
    }
  });
}
