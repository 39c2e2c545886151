// Retrieval that is limited by metadata, and the collections it searches.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { grpcCall, Stack } from './stack.mjs';

let stack;
before(async () => {
  stack = await Stack.start();
  const { status, body } = await stack.json('POST', '/v1/documents', { collection: 'recipes', documents: recipes });
  assert.equal(status, 200, JSON.stringify(body));
});
after(() => stack.stop());

const dishes = ['soup', 'stew', 'cake', 'salad', 'curry', 'bread', 'pie', 'noodles'];
// The number stands in the text too, so that a test can tell which document it sees.
const recipes = Array.from({ length: 48 }, (_, i) => ({
  id: `recipe-${i}`,
  title: `Recipe ${i}`,
  text: `Recipe number${i} is a ${dishes[i % 8]} with saffron. Simmer the saffron slowly and serve the ${dishes[i % 8]} warm in bowl${i}.`,
  metadata: {
    year: 2000 + i, lang: i % 2 ? 'en' : 'de', tags: [dishes[i % 8], i % 3 ? 'plain' : 'festive'],
    author: { name: i % 4 ? 'Ada' : 'Bob' }, ...(i === 7 ? { draft: true } : {}),
  },
}));
const query = 'saffron bread, soup, stew, cake, salad, curry, pie and noodles';
const collection = 'recipes';

const idsOf = (body) => body.matches.map((match) => match.document_id).sort();
const metadataOf = Object.fromEntries(recipes.map((recipe) => [recipe.id, recipe.metadata]));

// The same question in three ways: the query string, a JSON body, gRPC. Answers {body} or {error: {reason, field}}.
const ways = {
  get: async (request) => {
    const parameters = new URLSearchParams(Object.entries(request).map(([name, value]) => [name, name === 'filter' ? text(value) : value]));
    const { body } = await stack.json('GET', `/v1/retrieve?${parameters}`);
    return body.error ? { error: body.error } : { body };
  },
  post: async (request) => {
    const { body } = await stack.json('POST', '/v1/retrieve', request);
    return body.error ? { error: body.error } : { body };
  },
  grpc: (request) =>
    grpcCall(stack, 'Retrieve', { ...request, ...(request.filter === undefined ? {} : { filter: text(request.filter) }) })
      .then((body) => ({ body }), (error) => ({ error })),
};
const text = (filter) => (typeof filter === 'string' ? filter : JSON.stringify(filter));

test('a filter finds exactly what fits, in every mode and by every way in', async () => {
  const filters = [
    [{ lang: 'en' }, (m) => m.lang === 'en'],
    [{ year: { gte: 2010, lt: 2013 } }, (m) => m.year >= 2010 && m.year < 2013],
    [{ tags: { in: ['soup', 'festive'] } }, (m) => m.tags.includes('soup') || m.tags.includes('festive')],
    [{ 'author.name': 'Bob', lang: { eq: 'de' } }, (m) => m.author.name === 'Bob' && m.lang === 'de'],
    [{ draft: { exists: false }, year: { lte: 2008 } }, (m) => m.draft === undefined && m.year <= 2008],
    [{ draft: true }, (m) => m.draft === true],
    [{ lang: { gt: 'df' } }, (m) => m.lang > 'df'],
    [{ year: 1999 }, () => false],
    [{}, () => true],
  ];
  for (const mode of ['hybrid', 'dense', 'lexical']) {
    const all = idsOf((await ways.post({ query, collection, mode, top_k: 1000 })).body);
    assert.ok(all.length === recipes.length || (mode === 'dense' && all.length > 10), `${mode} finds ${all.length} without a filter`);
    for (const [way, retrieve] of Object.entries(ways)) {
      for (const [filter, fits] of filters) {
        const { body, error } = await retrieve({ query, collection, mode, top_k: 1000, filter });
        assert.equal(error, undefined, `${way} ${text(filter)}: ${error?.reason}`);
        assert.deepEqual(idsOf(body), all.filter((id) => fits(metadataOf[id])), `${way} ${mode} ${text(filter)}`);
      }
    }
  }
});

test('a filter that is wrong is refused by the place of the fault', async () => {
  for (const [filter, reason, field] of [
    [{ lnag: 'en' }, 'FILTER_FIELD_UNKNOWN', 'filter.lnag'],
    [{ 'author.nmae': 'Bob' }, 'FILTER_FIELD_UNKNOWN', 'filter.author.nmae'],
    [{ year: { gte: true } }, 'FILTER_INVALID', 'filter.year.gte'],
    [{ year: { near: 2010 } }, 'FILTER_INVALID', 'filter.year.near'],
    [{ lang: ['en'] }, 'FILTER_INVALID', 'filter.lang'],
    [{ tags: { in: ['a', null] } }, 'FILTER_INVALID', 'filter.tags.in[1]'],
    [[], 'FILTER_INVALID', 'filter'],
  ]) {
    for (const [way, retrieve] of Object.entries(ways)) {
      const { error } = await retrieve({ query, collection, filter });
      assert.deepEqual([error?.reason, error?.field], [reason, field], `${way} ${text(filter)}`);
    }
  }
  const { status, body } = await stack.json('GET', `/v1/retrieve?query=x&collection=recipes&filter=${encodeURIComponent('{"lang":')}`);
  assert.deepEqual([status, body.error.reason, body.error.field], [400, 'FILTER_INVALID', 'filter']);
  const unknown = await stack.json('POST', '/v1/retrieve', { query, collection, filter: { lnag: 'en' } });
  assert.match(unknown.body.error.message, /author, author\.name, draft, lang, tags, year/);
});

test('a field that its last document had is unknown again, and a new one is known at once', async () => {
  const document = { id: 'odd', title: 'Odd', text: 'A saffron oddity.', metadata: { oddity: 1 } };
  const asks = () => ways.post({ query, collection, filter: { oddity: 1 } });
  assert.equal((await asks()).error.reason, 'FILTER_FIELD_UNKNOWN');
  await stack.json('POST', '/v1/documents', { collection, documents: [document] });
  assert.deepEqual(idsOf((await asks()).body), ['odd']);
  await stack.json('POST', '/v1/documents', { collection, documents: [{ ...document, metadata: { oddity: 2 } }] });
  assert.deepEqual(idsOf((await asks()).body), []);
  await stack.json('DELETE', '/v1/documents/odd?collection=recipes');
  assert.equal((await asks()).error.reason, 'FILTER_FIELD_UNKNOWN');
});

test('metadata that is too much to index is refused with the document', async () => {
  const metadata = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`f${i}`, i]));
  const { status, body } = await stack.json('POST', '/v1/documents', { collection: 'refused', documents: [{ text: 'x', metadata }] });
  assert.deepEqual([status, body.error.reason, body.error.field], [400, 'FIELD_OUT_OF_RANGE', 'documents[0].metadata']);
});

test('min_score leaves out what scores less', async () => {
  const all = (await ways.get({ query: 'saffron soup', collection, top_k: 48 })).body.matches;
  const least = all[Math.floor(all.length / 2)].score;
  const some = (await ways.get({ query: 'saffron soup', collection, top_k: 48, min_score: least })).body.matches;
  assert.deepEqual(some.map((m) => m.document_id), all.filter((m) => m.score >= least).map((m) => m.document_id));
  assert.ok(some.length > 0 && some.length < all.length);
  const { error } = await ways.get({ query, min_score: 1.5 });
  assert.deepEqual([error.reason, error.field], ['FIELD_OUT_OF_RANGE', 'min_score']);
});

test('a chat answers from what fits, and says where its filter is wrong', async () => {
  const ask = (filter) => ({
    messages: [{ role: 'user', content: 'Which bread is made with saffron?' }],
    retrieval: { collection, strict: true, top_k: 50, filter },
  });
  const { body: chat } = await stack.json('POST', '/v1/chat', ask({ year: 2021 }));
  assert.equal(chat.outcome, 'ANSWERED', JSON.stringify(chat));
  assert.deepEqual([...new Set(chat.citations.map((c) => c.document_id))], ['recipe-21']);
  assert.equal((await stack.json('POST', '/v1/chat', ask({ year: 1999 }))).body.outcome, 'NO_CONTEXT');

  const overGrpc = await grpcCall(stack, 'Chat', { ...ask(), retrieval: { ...ask().retrieval, filter: '{"year":2021}' } });
  assert.deepEqual([...new Set(overGrpc.citations.map((c) => c.document_id))], ['recipe-21']);

  for (const [filter, reason, field] of [
    [{ year: { gte: true } }, 'FILTER_INVALID', 'retrieval.filter.year.gte'],
    [{ yaer: 2021 }, 'FILTER_FIELD_UNKNOWN', 'retrieval.filter.yaer'],
  ]) {
    const { status, body } = await stack.json('POST', '/v1/chat', ask(filter));
    assert.deepEqual([status, body.error.reason, body.error.field], [400, reason, field]);
  }
});

test('an OpenAI client chooses documents with a header', async () => {
  const { status, body } = await stack.json('POST', '/v1/chat/completions',
    { model: 'docs/', messages: [{ role: 'user', content: 'Which bread is made with saffron?' }] },
    { 'x-aibackend-collection': collection, 'x-aibackend-filter': '{"year":2021}' });
  assert.equal(status, 200, JSON.stringify(body));
  assert.match(body.choices[0].message.content, /number21/);
  const wrong = await stack.json('POST', '/v1/chat/completions',
    { model: 'docs/', messages: [{ role: 'user', content: 'x?' }] },
    { 'x-aibackend-collection': collection, 'x-aibackend-filter': '{"yaer":2021}' });
  assert.equal(wrong.status, 400);
  assert.match(JSON.stringify(wrong.body.error), /yaer/);
});

test('collections are listed, shown and deleted', async () => {
  for (const name of ['a-first', 'a-second']) {
    await stack.json('POST', '/v1/documents', { collection: name, documents: [{ id: name, text: 'One sentence.' }, { id: `${name}-2`, text: 'Another.' }] });
  }
  const { body: first } = await stack.json('GET', '/v1/collections?page_size=1');
  assert.deepEqual(first.collections.map((c) => [c.name, Number(c.documents), Number(c.chunks)]), [['a-first', 2, 2]]);
  const { body: rest } = await stack.json('GET', `/v1/collections?page_token=${first.next_page_token}`);
  assert.deepEqual(rest.collections.map((c) => c.name), ['a-second', 'default', 'recipes']);
  assert.equal(rest.next_page_token, '');
  const listed = await grpcCall(stack, 'ListCollections', {});
  assert.deepEqual(listed.collections.map((c) => c.name), ['a-first', 'a-second', 'default', 'recipes']);

  const { body: shown } = await stack.json('GET', '/v1/collections/recipes');
  assert.equal(Number(shown.documents), 48);
  assert.equal(Number(shown.unembedded_chunks), 0);
  assert.ok(shown.serving.number >= 1 && shown.serving.dimensions > 0);
  const overGrpc = await grpcCall(stack, 'GetCollection', { collection: 'recipes' });
  assert.deepEqual([overGrpc.name, overGrpc.documents, overGrpc.serving.number], ['recipes', '48', shown.serving.number]);

  const deleted = await stack.json('DELETE', '/v1/collections/a-first');
  assert.deepEqual([deleted.status, Number(deleted.body.documents)], [200, 2]);
  assert.equal(Number((await grpcCall(stack, 'DeleteCollection', { collection: 'a-second' })).documents), 2);
  assert.deepEqual((await ways.get({ query: 'sentence', collection: 'a-first' })).body.matches, []);
  for (const name of ['a-first', 'never-was']) {
    for (const method of ['GET', 'DELETE']) {
      const { status, body } = await stack.json(method, `/v1/collections/${name}`);
      assert.deepEqual([status, body.error.reason], [404, 'COLLECTION_NOT_FOUND'], `${method} ${name}`);
    }
    for (const method of ['GetCollection', 'DeleteCollection']) {
      await assert.rejects(grpcCall(stack, method, { collection: name }), { code: 'NOT_FOUND', reason: 'COLLECTION_NOT_FOUND' });
    }
  }
});
