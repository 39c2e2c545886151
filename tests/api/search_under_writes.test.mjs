// Searches while documents come, change and go and indexes are built: each answer is of documents as they were at some moment of
// the call, byte for byte, and what was acknowledged before the call began is in effect.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertNoTwins, call, commonWord, forContract, isVerbatim, Maker, randomFrom, structOf } from './made_documents.mjs';
import { eventually, Stack } from './stack.mjs';

const seed = Number(process.env.AIB_CRASH_SEED ?? Date.now() % 1_000_000);
const random = randomFrom(seed);
const maker = new Maker(random);
const collection = 'moving';
const rounds = 40;
let stack;

before(async () => { stack = await Stack.start({ AIB_SEED_EMPTY: 'false' }); });
after(async () => stack.stop());

// The versions of each document with the times between which a search may show them: from when it was sent to be stored until
// its successor, or its deletion, was acknowledged. `mustFrom`: acknowledged; `mustTo`: the successor was sent.
class History {
  versions = new Map(); // id → [{document, from, mustFrom, mustTo, to}]
  clock = 0;

  async change(documents, goneIds, run) {
    const sent = (this.clock += 1);
    const ids = [...documents.map((d) => d.id), ...goneIds];
    const former = ids.map((id) => this.versions.get(id)?.at(-1)).filter((v) => v && v.to === Infinity);
    for (const version of former) version.mustTo = sent;
    const added = documents.map((document) => ({ document, from: sent, mustFrom: Infinity, mustTo: Infinity, to: Infinity }));
    for (const version of added) this.versions.set(version.document.id, [...(this.versions.get(version.document.id) ?? []), version]);
    await run();
    const answered = (this.clock += 1);
    for (const version of former) version.to = answered;
    for (const version of added) version.mustFrom = answered;
  }
  // Those that a search between the two moments may show.
  possible(id, begin, end) {
    return (this.versions.get(id) ?? []).filter(({ from, to }) => from <= end && to >= begin).map(({ document }) => document);
  }
  // Those that it must know: there from before it began until after it ended.
  certain(begin, end) {
    return [...this.versions.values()].flat().filter((v) => v.mustFrom < begin && v.mustTo > end).map((v) => v.document);
  }
}

test(`every answer is of documents that were there (seed ${seed})`, { timeout: 120_000 }, async (t) => {
  const history = new History();
  const add = (documents) => history.change(documents, [], () => call(stack.grpc(), 'AddDocuments', { collection, documents: documents.map(forContract) }));
  const remove = (id) => history.change([], [id], () => call(stack.grpc(), 'DeleteDocument', { collection, id }));
  await add(Array.from({ length: 60 }, (_, i) => maker.document(`steady-${i}`)));

  let isOver = false;
  const seen = { searches: 0, matches: 0, generations: new Set(), changedMeanwhile: 0 };
  const searchOn = async (mode) => {
    let generation = 0;
    while (!isOver) {
      const begin = (history.clock += 1);
      const sought = random.of(history.certain(begin, begin));
      const query = random.below(3) === 0 ? commonWord : sought.word;
      const answer = await call(stack.grpc(), 'Retrieve', { collection, query, mode, top_k: query === commonWord ? 1000 : 5 });
      const end = history.clock;
      assertNoTwins(answer.matches, query);
      for (const match of answer.matches) {
        const versions = history.possible(match.document_id, begin, end);
        assert.ok(versions.some(({ text }) => isVerbatim(match, text)), `${match.chunk_id} was nowhere while it was found`);
      }
      const found = new Set(answer.matches.map((match) => match.document_id));
      if (query !== commonWord) {
        // Still there when the answer came. A word newer than the fit means nothing to the dense leg.
        if (mode !== 'dense' && history.certain(begin, end).includes(sought)) assert.ok(found.has(sought.id), `${sought.id} by ${query}, ${mode}`);
      } else if (mode === 'lexical') {
        for (const { id } of history.certain(begin, end)) assert.ok(found.has(id), `${id} is not among all`);
      }
      assert.ok(answer.generation >= generation, `generation ${answer.generation} after ${generation}`);
      generation = answer.generation;
      seen.searches += 1;
      seen.matches += answer.matches.length;
      seen.generations.add(generation);
      if (end > begin) seen.changedMeanwhile += 1;
    }
  };

  const write = async (name) => {
    const mine = [];
    for (let i = 0; i < rounds; i += 1) {
      const documents = Array.from({ length: 1 + random.below(8) }, () => maker.document(`${name}-${random.below(40)}`));
      const single = [...new Map(documents.map((d) => [d.id, d])).values()];
      await add(single);
      for (const { id } of single) if (!mine.includes(id)) mine.push(id);
      if (random.below(2)) await remove(mine.splice(random.below(mine.length), 1)[0]);
    }
  };
  const rebuildOn = async () => {
    while (!isOver) {
      const { job_id } = await call(stack.grpc(), 'StartJob', { kind: 'index_documents', collection, params: structOf({}) });
      await eventually(async () => {
        const { status, error } = await call(stack.grpc(), 'GetJob', { job_id });
        assert.notEqual(status, 'FAILED', JSON.stringify(error));
        return status === 'SUCCEEDED';
      }, 'the index is built');
    }
  };

  const around = ['lexical', 'lexical', 'hybrid', 'dense'].map(searchOn);
  around.push(rebuildOn());
  const writers = Promise.all([write('one'), write('two')]).finally(() => { isOver = true; });
  await Promise.all([writers, ...around].map((each) => each.catch((error) => { isOver = true; throw error; })));
  t.diagnostic(`${seen.searches} searches, ${seen.changedMeanwhile} of them while something changed, ${seen.matches} matches, ${seen.generations.size} generations`);
  assert.ok(seen.changedMeanwhile > 20 && seen.generations.size > 2, 'too little happened meanwhile');
});
