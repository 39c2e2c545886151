// Idempotency-Key and Last-Event-ID on the real programs, and clients that leave: what was asked once is paid once.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { FakeUpstream } from './fake_upstream.mjs';
import { ask, eventually, parseSse, Stack, transports } from './stack.mjs';

let stack, imposter;
before(async () => {
  imposter = await FakeUpstream.start();
  stack = await Stack.start({
    AIB_OPENAI_BASE_URL: `${imposter.url}/v1`,
    AIB_OPENAI_API_KEY: 'sk-key',
    AIB_MODEL: 'imposter',
  });
});
after(async () => {
  await stack.stop();
  imposter.stop();
});

const plain = { retrieval: { enabled: false } };
const control = (scenario) => imposter.control(scenario);
const log = () => imposter.log();
const callsFor = async (prompt) => (await log()).requests.filter(({ body }) => JSON.stringify(body).includes(prompt));
const rowsFor = async (prompt) => (await stack.json('GET', '/v1/usage?page_size=1000')).body.requests.filter((row) => row.prompt === prompt);
const endedRows = (prompt, count) =>
  eventually(async () => {
    const rows = await rowsFor(prompt);
    return rows.length === count && rows.every((row) => row.status !== 'RUNNING') && rows;
  }, `${count} ended rows of ${prompt}`, 15_000);

// Exactly one row that was paid for; the others name its request.
function assertPaidOnce(rows) {
  const [paid, ...more] = rows.filter((row) => row.replay_of === '');
  assert.equal(more.length, 0, JSON.stringify(rows));
  assert.ok(paid.completion_tokens > 0);
  for (const row of rows.filter((r) => r !== paid)) {
    assert.equal(row.replay_of, paid.request_id);
    assert.deepEqual([row.total_tokens, row.cost_nano_usd, row.upstream_calls, row.status], [0, '0', 0, 'OK']);
  }
  return paid;
}

function openStream(body, headers = {}) {
  const request = http.request(`${stack.url}/v1/chat/stream`, {
    method: 'POST', agent: false, headers: { 'content-type': 'application/json', ...headers },
  });
  request.end(JSON.stringify(body));
  return request;
}

// {status, text} of a whole REST stream.
async function readStream(body, headers) {
  const response = await stack.fetch('/v1/chat/stream', {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

const deltasOf = (events) => events.filter(({ event }) => event === 'message').map(({ data }) => data.delta).join('');

// Reads until the text holds `pieces` events, destroys the socket, gives the events that were whole.
function cutStream(body, headers, pieces) {
  return new Promise((resolve, reject) => {
    let text = '';
    const request = openStream(body, headers);
    request.on('error', () => {});
    request.on('response', (response) => {
      response.on('error', () => {});
      response.on('data', (data) => {
        text += data;
        if (text.split('\n\n').length <= pieces) return;
        response.removeAllListeners('data');
        request.destroy();
        resolve(parseSse(text.slice(0, text.lastIndexOf('\n\n') + 2)));
      });
      response.on('end', () => reject(new Error(`ended before it was cut: ${text}`)));
    });
  });
}

test('two at the same moment, over REST and gRPC, are one upstream call with both answers', async () => {
  await control({ firstTokenDelayMs: 300, tokens: 20 });
  const prompt = 'two at the same moment';
  const headers = { 'idempotency-key': 'same-moment' };
  const [rest, rpc] = await Promise.all([
    transports.rest.chat(stack, ask(prompt, plain), headers),
    transports.grpc.chat(stack, ask(prompt, plain), headers),
  ]);
  assert.ok(rest.response.length > 0);
  assert.equal(rpc.response, rest.response);
  assert.equal(rpc.id, rest.id);
  assert.equal((await callsFor(prompt)).length, 1);
  assert.equal(assertPaidOnce(await endedRows(prompt, 2)).request_id, rest.id);
});

test('the same key asked whole and streamed is one turn', async () => {
  await control({ tokens: 12 });
  const prompt = 'whole and streamed';
  const headers = { 'idempotency-key': 'whole-and-streamed' };
  const whole = await transports.grpc.chat(stack, ask(prompt, plain), headers);
  const { text } = await readStream(ask(prompt, plain), headers);
  const events = parseSse(text);
  assert.equal(deltasOf(events), whole.response);
  assert.equal(events.at(-1).event, 'done');
  assert.equal(events.at(-1).data.id, whole.id);
  assert.equal((await callsFor(prompt)).length, 1);
  assertPaidOnce(await endedRows(prompt, 2));
});

test('another body under the key is refused, and a bad key too', async () => {
  await control({});
  const headers = { 'idempotency-key': 'reused' };
  await transports.rest.chat(stack, ask('the first body', plain), headers);
  const other = await stack.json('POST', '/v1/chat', ask('another body', plain), headers);
  assert.equal(other.status, 422);
  assert.equal(other.body.error.reason, 'IDEMPOTENCY_KEY_REUSED');
  await assert.rejects(transports.grpc.chat(stack, ask('another body', plain), headers), { code: 'FAILED_PRECONDITION', reason: 'IDEMPOTENCY_KEY_REUSED' });
  await assert.rejects(transports.grpc.chat(stack, ask('x', plain), { 'idempotency-key': 'x'.repeat(256) }), { reason: 'IDEMPOTENCY_KEY_INVALID', field: 'idempotency-key' });
  assert.equal((await callsFor('another body')).length, 0);
});

test('a failure frees the key', async () => {
  const headers = { 'idempotency-key': 'failed-first' };
  await control({ fault: 'http-500' });
  await assert.rejects(transports.rest.chat(stack, ask('fails first', plain), headers), { reason: 'UPSTREAM_UNAVAILABLE' });
  await control({});
  assert.match((await transports.rest.chat(stack, ask('fails first', plain), headers)).response, /fails first/);
});

test('a stream cut midway goes on with Last-Event-ID; together it is exactly the text, paid once', async () => {
  await control({ tokens: 60, tokenDelayMs: 25 });
  const prompt = 'cut and resumed';
  const key = { 'idempotency-key': 'cut-and-resumed' };
  const first = await cutStream(ask(prompt, plain), key, 5);
  const id = first.at(-1).id;
  const { status, text } = await readStream(ask(prompt, plain), { ...key, 'last-event-id': id });
  assert.equal(status, 200, text);
  const rest = parseSse(text);
  assert.equal(rest.at(-1).event, 'done');
  assert.ok(Number(rest[0].id) > Number(id));
  const expected = Array.from({ length: 60 }, (_, i) => `token${i}`).join(' ');
  assert.equal(deltasOf(first) + deltasOf(rest), expected);
  assert.equal((await callsFor(prompt)).length, 1);
  const paid = assertPaidOnce(await endedRows(prompt, 2));
  assert.equal(paid.status, 'OK');
  assert.equal(paid.completion_tokens, 60);
  assert.equal(paid.response, expected);
});

test('what can\'t be gone on with is said', async () => {
  await control({});
  const key = { 'idempotency-key': 'kept' };
  await readStream(ask('kept', plain), key);
  for (const [headers, status, reason, field] of [
    [{ 'last-event-id': '3' }, 400, 'FIELD_INVALID', 'last-event-id'],
    [{ ...key, 'last-event-id': 'three' }, 400, 'FIELD_INVALID', 'last-event-id'],
    [{ ...key, 'last-event-id': '1000000' }, 404, 'STREAM_NOT_FOUND', undefined],
    [{ 'idempotency-key': 'never seen', 'last-event-id': '3' }, 404, 'STREAM_NOT_FOUND', undefined],
  ]) {
    const answer = await readStream(ask('kept', plain), headers);
    assert.equal(answer.status, status, answer.text);
    const { error } = JSON.parse(answer.text);
    assert.equal(error.reason, reason);
    if (field) assert.equal(error.field, field);
  }
});

test('an answer is there again after kill -9, and its stream is not', async () => {
  await control({ tokens: 10 });
  const prompt = 'outlives the server';
  const headers = { 'idempotency-key': 'outlives' };
  const first = await transports.rest.chat(stack, ask(prompt, plain), headers);
  // One thread writes in order: with the row of a later request the answer is on the disk.
  await endedRows(prompt, 1);
  await transports.rest.chat(stack, ask('and later', plain));
  await endedRows('and later', 1);
  await stack.server.stop('SIGKILL');
  await stack.startServer();
  await stack.ready();
  const again = await transports.rest.chat(stack, ask(prompt, plain), headers);
  assert.deepEqual(again, first);
  const { text } = await readStream(ask(prompt, plain), headers);
  assert.equal(deltasOf(parseSse(text)), first.response);
  assert.equal((await readStream(ask(prompt, plain), { ...headers, 'last-event-id': '1' })).status, 404);
  const other = await stack.json('POST', '/v1/chat', ask('another body', plain), headers);
  assert.equal(other.status, 422);
  assert.equal((await callsFor(prompt)).length, 1);
});

test('a job is started once a key, over REST and gRPC, also at the same moment', async () => {
  const startOverGrpc = (request, key) =>
    new Promise((resolve, reject) => {
      const metadata = new grpc.Metadata();
      metadata.set('idempotency-key', key);
      stack.grpc().StartJob(request, metadata, (error, job) => (error ? reject(error) : resolve(job)));
    });
  const headers = { 'idempotency-key': 'a-job' };
  const [rest, rpc] = await Promise.all([
    stack.json('POST', '/v1/jobs', { kind: 'analyze_usage' }, headers),
    startOverGrpc({ kind: 'analyze_usage' }, 'a-job'),
  ]);
  assert.equal(rest.status, 202);
  assert.equal(rest.body.job_id, rpc.job_id);
  const again = await stack.json('POST', '/v1/jobs', { kind: 'analyze_usage' }, headers);
  assert.equal(again.body.job_id, rpc.job_id);
  const other = await stack.json('POST', '/v1/jobs', { kind: 'analyze_usage', params: { days: 3 } }, headers);
  assert.equal(other.status, 422);
  assert.equal(other.body.error.reason, 'IDEMPOTENCY_KEY_REUSED');
  const different = await stack.json('POST', '/v1/jobs', { kind: 'analyze_usage' }, { 'idempotency-key': 'another-job' });
  assert.notEqual(different.body.job_id, rpc.job_id);
});

// Each opens a stream, leaves after some pieces, and gives the moment.
const leavers = {
  rest: (request) =>
    new Promise((resolve) => {
      const call = openStream(request);
      call.on('error', () => {});
      call.on('response', (response) => {
        let pieces = 0;
        response.on('error', () => {});
        response.on('data', () => {
          if (++pieces !== 5) return;
          resolve(Date.now());
          call.destroy();
        });
      });
    }),
  grpc: (request) =>
    new Promise((resolve) => {
      const call = stack.grpc().ChatStream(request);
      let pieces = 0;
      call.on('error', () => {});
      call.on('data', () => {
        if (++pieces !== 5) return;
        resolve(Date.now());
        call.cancel();
      });
    }),
};

const LATENCY_MS_MAX = 100;  // the promise, on a quiet machine
const ATTEMPTS = 3;          // this one may be noisy

for (const [name, leave] of Object.entries(leavers)) {
  test(`${name}: a client that leaves closes the upstream connection within ${LATENCY_MS_MAX} ms`, async (t) => {
    await control({ tokens: 2000, tokenDelayMs: 10 });
    const took = [];
    for (let attempt = 0; attempt < ATTEMPTS && !took.some((ms) => ms <= LATENCY_MS_MAX); ++attempt) {
      const prompt = `${name} leaves, attempt ${attempt}`;
      const leftAt = await leave(ask(prompt, plain));
      const ended = await eventually(async () => (await callsFor(prompt)).find((call) => call.ended_at), 'the upstream sees it', 10_000);
      assert.equal(ended.ended, 'client_gone');
      took.push(ended.ended_at - leftAt);
    }
    t.diagnostic(`${took.join(', ')} ms`);
    assert.ok(took.at(-1) <= LATENCY_MS_MAX, `${took} ms`);
  });
}

test('a keyed stream whose only client left goes on to its end, and is there', async () => {
  await control({ tokens: 40, tokenDelayMs: 10 });
  const prompt = 'left alone';
  const headers = { 'idempotency-key': 'left-alone' };
  await cutStream(ask(prompt, plain), headers, 3);
  const [row] = await endedRows(prompt, 1);
  assert.equal(row.status, 'OK');
  assert.equal(row.completion_tokens, 40);
  const { text } = await readStream(ask(prompt, plain), headers);
  assert.equal(deltasOf(parseSse(text)), row.response);
  assert.equal((await callsFor(prompt)).length, 1);
});

test('beyond the resume window a keyed stream that nobody reads is cancelled', async () => {
  const own = stack;
  stack = await Stack.start({
    AIB_OPENAI_BASE_URL: `${imposter.url}/v1`,
    AIB_OPENAI_API_KEY: 'sk-key',
    AIB_MODEL: 'imposter',
    AIB_RESUME_WINDOW_MS: '200',
  });
  try {
    await control({ tokens: 5000, tokenDelayMs: 10 });
    const prompt = 'nobody comes back';
    await cutStream(ask(prompt, plain), { 'idempotency-key': 'window' }, 3);
    const [row] = await endedRows(prompt, 1);
    assert.equal(row.status, 'CANCELLED');
    assert.ok(row.completion_tokens > 0);
    assert.equal((await callsFor(prompt))[0].ended, 'client_gone');
  } finally {
    await stack.stop();
    stack = own;
  }
});

test('SIGTERM doesn\'t wait for a keyed stream that nobody reads; its row is ended', async () => {
  await control({ tokens: 5000, tokenDelayMs: 10 });
  const prompt = 'left before the server';
  await cutStream(ask(prompt, plain), { 'idempotency-key': 'drained' }, 3);
  const start = Date.now();
  assert.equal((await stack.server.stop()).code, 0);
  assert.ok(Date.now() - start < 10_000, 'it waited');
  await stack.startServer();
  await stack.ready();
  const [row] = await endedRows(prompt, 1);
  assert.equal(row.status, 'CANCELLED');
  assert.ok(row.completion_tokens > 0);
});
