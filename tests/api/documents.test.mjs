// Documents, retrieval and the jobs that index them.
import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { after, before, test } from 'node:test';
import { pdf } from './files.mjs';
import { ask, eventually, Stack, transports } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start()));
after(() => stack.stop());

const jobDone = (id) =>
  eventually(async () => {
    const { body } = await stack.json('GET', `/jobs/${id}`);
    return ['SUCCEEDED', 'FAILED', 'CANCELLED'].includes(body.status) && body;
  }, `job ${id}`, 180_000);

// Documents that differ, in words of their own.
const many = (count, from = 0) =>
  Array.from({ length: count }, (_, i) => ({
    id: `many-${from + i}`,
    title: `Item ${from + i}`,
    text: `The catalogue entry number${from + i} describes gadget${(from + i) % 97} in warehouse${(from + i) % 13}. `
      + `It was counted by shift${(from + i) % 7} and weighs ${from + i} grams.`,
  }));

test('retrieve gives the strings, and the matches behind them', async () => {
  for (const target of ['/retrieve', '/v1/retrieve']) {
    const { status, body } = await stack.json('GET', `${target}?query=rate+limits&top_k=3`);
    assert.equal(status, 200);
    assert.equal(body.documents.length, 3);
    assert.deepEqual(body.documents, body.matches.map((m) => m.text));
    assert.ok(body.matches[0].score >= body.matches[1].score);
    assert.match(body.documents[0], /[Rr]ate limit/);
    for (const match of body.matches) {
      const { body: document } = await stack.json('GET', `/v1/documents/${match.document_id}`);
      assert.equal(Buffer.from(document.text).subarray(match.start, match.end).toString(), match.text);
    }
  }
});

test('both transports retrieve the same', async () => {
  const request = { query: 'how are jobs made durable?', top_k: 4 };
  const [g, r] = [await transports.grpc.retrieve(stack, request), await transports.rest.retrieve(stack, request)];
  assert.deepEqual(g.documents, r.documents);
  assert.deepEqual(g.matches.map((m) => [m.document_id, m.start, m.score]), r.matches.map((m) => [m.document_id, m.start, m.score]));
});

test('top_k and mode are checked', async () => {
  for (const [query, reason, field] of [
    ['query=x&top_k=0', 'TOP_K_OUT_OF_RANGE', 'top_k'],
    ['query=x&top_k=1000000000', 'TOP_K_OUT_OF_RANGE', 'top_k'],
    ['query=x&top_k=abc', 'WRONG_TYPE', 'top_k'],
    ['query=x&mode=psychic', 'MODE_UNKNOWN', 'mode'],
    ['query=', 'FIELD_REQUIRED', 'query'],
    ['top_k=3', 'FIELD_REQUIRED', 'query'],
    ['query=x&qurey=y', 'UNKNOWN_QUERY_PARAMETER', 'qurey'],
  ]) {
    const { status, body } = await stack.json('GET', `/retrieve?${query}`);
    assert.equal(status, 400, query);
    assert.equal(body.error.reason, reason, query);
    assert.equal(body.error.field, field, query);
  }
});

test('a document is searchable when the answer arrives, and gone when it is deleted', async () => {
  const text = 'The zanzibar protocol encrypts turnip shipments with a rotating beet cipher.';
  const { status, body } = await stack.json('POST', '/v1/documents', { documents: [{ id: 'zanzibar', title: 'Zanzibar', text, metadata: { team: 'roots', year: 2024 } }] });
  assert.equal(status, 200);
  assert.deepEqual(body.documents, [{ id: 'zanzibar', chunks: 1, status: 'ADDED' }]);
  const again = await stack.json('POST', '/v1/documents', { documents: [{ id: 'zanzibar', title: 'Zanzibar', text, metadata: { team: 'roots', year: 2024 } }] });
  assert.equal(again.body.documents[0].status, 'UNCHANGED');

  const { body: found } = await stack.json('GET', '/retrieve?query=zanzibar+turnip+protocol');
  assert.equal(found.matches[0].document_id, 'zanzibar');
  assert.deepEqual(found.matches[0].metadata, { team: 'roots', year: 2024 });
  const { body: answer } = await stack.json('POST', '/chat', ask('What encrypts turnip shipments?'));
  assert.equal(answer.response, text);

  assert.equal((await stack.json('DELETE', '/v1/documents/zanzibar')).status, 200);
  assert.equal((await stack.json('DELETE', '/v1/documents/zanzibar')).body.error.reason, 'DOCUMENT_NOT_FOUND');
  const { body: after } = await stack.json('GET', '/retrieve?query=zanzibar+turnip+protocol&top_k=1000');
  assert.ok(!after.documents.some((d) => d.includes('zanzibar')));
});

test('a file is uploaded as multipart, and answers', async () => {
  const form = new FormData();
  form.set('file', new Blob(['# Quokka\n\nThe quokka engine indexes marsupial telemetry every seventeen minutes.\n']), 'quokka.md');
  const response = await stack.fetch('/ai/upload', { method: 'POST', body: form });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  const { body: found } = await stack.json('GET', '/retrieve?query=quokka+engine&top_k=1');
  assert.equal(found.matches[0].title, 'quokka.md');

  const binary = new FormData();
  binary.set('file', new Blob([new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 1])]), 'x.png');
  const refused = await stack.fetch('/ai/upload', { method: 'POST', body: binary });
  assert.equal(refused.status, 415);
  const { error } = await refused.json();
  assert.deepEqual([error.reason, error.field], ['UNSUPPORTED_MEDIA_TYPE', 'documents[0].content']);
});

test('files of several kinds are read, and what is found can be cited to the byte', async () => {
  const form = new FormData();
  form.append('file', new Blob(['<html><head><title>Bilby handbook</title><script>x()</script></head><body><p>The bilby compiler folds burrow constants at midnight.</p></body></html>'], { type: 'text/html' }), 'bilby.html');
  form.append('file', new Blob([pdf('The numbat protocol retries twice before it sleeps.')], { type: 'application/pdf' }), 'numbat.pdf');
  form.append('file', new Blob(['id,text\nrow-1,The potoroo ledger closes on Fridays.\nrow-2,The bettong cache holds nine entries.\n'], { type: 'text/csv' }), 'rows.csv');
  form.append('collection', 'files');
  const response = await stack.fetch('/v1/documents', { method: 'POST', body: form });
  const { documents } = await response.json();
  assert.deepEqual(documents.map(({ status }) => status), ['ADDED', 'ADDED', 'ADDED', 'ADDED']);
  for (const [query, title, phrase] of [
    ['bilby compiler midnight', 'Bilby handbook', 'folds burrow constants'],
    ['numbat protocol retries', 'numbat.pdf', 'retries twice'],
    ['bettong cache entries', 'rows.csv', 'nine entries'],
  ]) {
    const { body } = await stack.json('GET', `/v1/retrieve?query=${encodeURIComponent(query)}&top_k=1&collection=files`);
    const [match] = body.matches;
    assert.equal(match.title, title);
    assert.match(match.text, new RegExp(phrase));
    const { body: stored } = await stack.json('GET', `/v1/documents/${match.document_id}?collection=files`);
    assert.equal(Buffer.from(stored.text).subarray(match.start, match.end).toString(), match.text);
    assert.doesNotMatch(stored.text, /x\(\)|<p>/);
  }
});

test('a file that can not be read fails alone; the others of its batch are stored', async () => {
  const documents = [
    { title: 'good', text: 'The quoll index is rebuilt by hand.' },
    { source: 'broken.pdf', content: Buffer.from('%PDF-1.4 nothing of it').toString('base64') },
    { source: 'bytes.txt', content: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 0, 0]).toString('base64') },
    { source: 'note.txt', content: Buffer.from('The dunnart queue drains slowly.').toString('base64') },
  ];
  const { status, body } = await stack.json('POST', '/v1/documents', { documents, collection: 'mixed' });
  assert.equal(status, 200);
  assert.deepEqual(body.documents.map(({ status }) => status), ['ADDED', 'FAILED', 'FAILED', 'ADDED']);
  assert.deepEqual(body.documents.slice(1, 3).map(({ error }) => [error.reason, error.field]),
    [['FIELD_INVALID', 'documents[1].content'], ['UNSUPPORTED_MEDIA_TYPE', 'documents[2].content']]);
  const { body: list } = await stack.json('GET', '/v1/documents?collection=mixed');
  assert.equal(list.documents.length, 2);
});

test('seeding is idempotent', async () => {
  const { status, body } = await stack.json('POST', '/seed');
  assert.equal(status, 200);
  assert.ok(body.documents.length >= 50);
  assert.deepEqual([...new Set(body.documents.map((d) => d.status))], ['UNCHANGED']);
});

test('lists page without loss', async () => {
  const ids = [];
  let token = '';
  do {
    const { body } = await stack.json('GET', `/v1/documents?page_size=7&page_token=${encodeURIComponent(token)}`);
    ids.push(...body.documents.map((d) => d.id));
    token = body.next_page_token;
  } while (token);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.length >= 50);
  const { status, body } = await stack.json('GET', '/v1/documents?page_token=garbage');
  assert.equal(status, 400);
  assert.equal(body.error.reason, 'PAGE_TOKEN_INVALID');
});

test('a job indexes 2,000 documents while /process answers at once; progress moves; kill -9 midway, and a restart finishes it', { timeout: 300_000 }, async () => {
  const { status, body: job } = await stack.json('POST', '/process', { kind: 'index_documents', params: { documents: many(2000), collection: 'many' } });
  assert.equal(status, 202);
  assert.equal(job.status, 'QUEUED');

  const first = performance.now();
  const { status: second } = await stack.json('POST', '/process', { kind: 'analyze_usage' });
  const elapsed = performance.now() - first;
  assert.equal(second, 202);
  console.log(`# /process answered in ${elapsed.toFixed(1)} ms while the job ran`);

  const seen = new Set();
  await eventually(async () => {
    const { body } = await stack.json('GET', `/jobs/${job.job_id}`);
    seen.add(body.progress.done);
    assert.notEqual(body.status, 'FAILED', JSON.stringify(body.error));
    return seen.size >= 4 && body.progress.done > 100;
  }, 'progress');
  await stack.server.stop('SIGKILL');
  await stack.startServer();
  await stack.ready();
  const done = await jobDone(job.job_id);
  assert.equal(done.status, 'SUCCEEDED', JSON.stringify(done));
  assert.ok(done.attempts >= 2);
  assert.equal(Number(done.result.documents), 2000);
  assert.equal(done.progress.done, done.progress.total);
  const { body: found } = await stack.json('GET', '/retrieve?query=number1234&collection=many&top_k=1');
  assert.equal(found.matches[0].document_id, 'many-1234');
  let count = 0, token = '';
  do {
    const { body } = await stack.json('GET', `/v1/documents?collection=many&page_size=1000&page_token=${encodeURIComponent(token)}`);
    count += body.documents.length;
    token = body.next_page_token;
  } while (token);
  assert.equal(count, 2000);
});

test('a body without kind re-indexes what is stored', async () => {
  const { body: job } = await stack.json('POST', '/process', {});
  const done = await jobDone(job.job_id);
  assert.equal(done.status, 'SUCCEEDED', JSON.stringify(done.error));
  assert.equal(done.kind, 'index_documents');
  assert.ok(Number(done.result.documents) >= 50);
  const { body: other } = await stack.json('POST', '/datasets/many/process');
  assert.equal((await jobDone(other.job_id)).result.documents, 2000);
});

test('one job takes 10,000 documents, tells how far it is, and searches go on meanwhile', { timeout: 300_000 }, async () => {
  const count = 10_000;
  // Long enough to take seconds on any machine: progress is stored four times a second.
  const documents = many(count).map((document) => ({ ...document, text: document.text.repeat(6) }));
  const search = () => stack.json('GET', '/v1/retrieve?query=rate+limits&top_k=3');
  const { status, body: job } = await stack.json('POST', '/v1/jobs', { kind: 'index_documents', params: { documents, collection: 'ten-thousand' } });
  assert.equal(status, 202, JSON.stringify(job));
  const seen = [];
  let searches = 0;
  const done = await eventually(async () => {
    const { body } = await stack.json('GET', `/v1/jobs/${job.job_id}`);
    if (Number(body.progress?.total)) seen.push(Number(body.progress.done));
    const found = await search();
    assert.equal(found.status, 200);
    assert.equal(found.body.documents.length, 3);
    if (body.status === 'RUNNING') ++searches;
    return ['SUCCEEDED', 'FAILED', 'CANCELLED'].includes(body.status) && body;
  }, 'the job', 280_000);
  assert.equal(done.status, 'SUCCEEDED', JSON.stringify(done.error));
  assert.ok(searches > 10, `${searches} searches while it ran`);
  assert.ok(new Set(seen).size > 10, `progress moves: ${seen}`);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b), 'and never back');
  const { added, updated, unchanged } = done.result;
  assert.deepEqual([done.result.documents, added, updated, unchanged].map(Number), [count, count, 0, 0]);
  assert.equal(done.progress.done, done.progress.total);

  const more = await stack.json('POST', '/v1/jobs', { kind: 'index_documents', params: { documents: many(count + 1), collection: 'ten-thousand' } });
  assert.equal(more.status, 400);
  assert.equal(more.body.error.field, 'params.documents');
  assert.match(more.body.error.message, /at most 10000/);
});

test('analyze_usage sums the ledger', async () => {
  const { body: job } = await stack.json('POST', '/v1/jobs', { kind: 'analyze_usage', params: { days: 1 } });
  const done = await jobDone(job.job_id);
  assert.equal(done.status, 'SUCCEEDED', JSON.stringify(done.error));
  const { body: list } = await stack.json('GET', '/v1/jobs');
  assert.ok(list.jobs.some((j) => j.job_id === job.job_id));
});

test('a job that cannot be is refused by name', async () => {
  for (const [request, reason, field] of [
    [{ kind: 'mine_bitcoin' }, 'JOB_KIND_UNKNOWN', 'kind'],
    [{ params: { documents: [{ title: 'x' }] } }, null, 'params.documents[0].text'],
    [{ params: { speed: 3 } }, null, 'params.speed'],
    [{ kind: 'analyze_usage', params: { days: -1 } }, null, 'params.days'],
  ]) {
    const { status, body } = await stack.json('POST', '/process', request);
    assert.equal(status, 400, JSON.stringify(body));
    if (reason) assert.equal(body.error.reason, reason);
    assert.equal(body.error.field, field);
  }
  const { status, body } = await stack.json('GET', '/jobs/job_nope');
  assert.equal(status, 404);
  assert.equal(body.error.reason, 'JOB_NOT_FOUND');
});
