// Streams over the edge: pieces over time, honest endings, clients that leave.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { ask, parseSse, Stack } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start({ AIB_WORDS_PER_SECOND: '20' })));
after(() => stack.stop());

function openStream(body, { agent, headers = {} } = {}) {
  const request = http.request(`${stack.url}/chat/stream`, {
    method: 'POST', agent, headers: { 'content-type': 'application/json', ...headers },
  });
  request.end(JSON.stringify(body));
  return request;
}

test('text arrives in pieces over time and ends with done and usage', async () => {
  const arrivals = [];
  let text = '';
  await new Promise((resolve, reject) => {
    const request = openStream(ask('What is FastAPI?'));
    request.on('error', reject);
    request.on('response', (response) => {
      assert.match(response.headers['content-type'], /^text\/event-stream/);
      response.on('data', (data) => { arrivals.push(Date.now()); text += data; });
      response.on('end', resolve);
    });
  });
  const events = parseSse(text);
  assert.ok(arrivals.length >= 5, `${arrivals.length} arrivals`);
  assert.ok(arrivals.at(-1) > arrivals[0], 'spread over time');
  assert.equal(events.at(-1).event, 'done');
  assert.ok(events.at(-1).data.usage.completion_tokens > 0);
  const ids = events.slice(0, -1).map((event) => Number(event.id));
  assert.ok(ids[0] > 0 && ids.every((id, i) => i === 0 || id > ids[i - 1]), `ids rise: ${ids}`);
});

test('a client that leaves midway: cancelled in the ledger, with the tokens so far', async () => {
  const id = 'left-midway';
  await new Promise((resolve) => {
    const request = openStream(ask('How does retrieval-augmented generation work?'), { headers: { 'x-request-id': id } });
    request.on('error', resolve);
    request.on('response', (response) => {
      response.on('error', () => {});
      response.once('data', () => { request.destroy(); resolve(); });
    });
  });
  const row = await stack.ledgerRow((r) => r.request_id === id && r.status !== 'RUNNING');
  assert.equal(row.status, 'CANCELLED');
  assert.equal(row.error_reason, 'CANCELLED');
  assert.ok(row.prompt_tokens > 0);
  assert.ok(row.completion_tokens > 0 && row.response.length > 0);
});

test('a gRPC client that cancels midway: the same', async () => {
  const prompt = 'What is retrieval-augmented generation used for?';
  await new Promise((resolve) => {
    const call = stack.grpc().ChatStream(ask(prompt));
    call.on('error', resolve);
    call.once('data', () => call.cancel());
  });
  const row = await stack.ledgerRow((r) => r.prompt === prompt && r.status !== 'RUNNING');
  assert.equal(row.status, 'CANCELLED');
  assert.ok(row.completion_tokens > 0);
});

test('a deadline that passes midway ends the stream with DEADLINE_EXCEEDED, and is accounted', async () => {
  const prompt = 'What is retrieval-augmented generation good for?';
  const error = await new Promise((resolve) => {
    const call = stack.grpc().ChatStream(ask(prompt), { deadline: Date.now() + 500 });
    call.on('data', () => {});
    call.on('error', resolve);
  });
  assert.equal(error.code, 4);
  const row = await stack.ledgerRow((r) => r.prompt === prompt && r.status !== 'RUNNING');
  assert.equal(row.status, 'CANCELLED');
});

test('a server killed midway breaks the stream: it never looks finished; after a restart the row says so', async () => {
  const id = 'killed-midway';
  const text = await new Promise((resolve) => {
    let received = '';
    const request = openStream(ask('How does retrieval-augmented generation work?'), { headers: { 'x-request-id': id } });
    request.on('error', () => resolve(received));
    request.on('response', (response) => {
      // A row is committed within milliseconds of its request: some pieces later it is there.
      response.on('data', (data) => { if (received.split('data:').length === 5) stack.server.stop('SIGKILL'); received += data; });
      response.on('end', () => resolve(received));
      response.on('error', () => resolve(received));
    });
  });
  assert.ok(!text.includes('event: done'), text);
  assert.match(text, /event: error/);
  await stack.server.exited;
  await stack.startServer();
  await stack.ready();
  const row = await stack.ledgerRow((r) => r.request_id === id);
  assert.equal(row.status, 'ERROR');
  assert.equal(row.error_reason, 'INTERRUPTED');
});

test('1,000 concurrent streams all finish', { timeout: 240_000 }, async () => {
  const agent = new http.Agent({ maxSockets: Infinity });
  const results = await Promise.all(
    Array.from({ length: 1000 }, () =>
      new Promise((resolve) => {
        let text = '';
        const request = openStream(ask('What is FastAPI?'), { agent });
        request.on('error', (error) => resolve(`error ${error.message}`));
        request.on('response', (response) => {
          response.setEncoding('utf8');
          response.on('data', (data) => (text += data));
          response.on('end', () => resolve(text.includes('event: done') ? 'done' : text.slice(-300)));
          response.on('error', (error) => resolve(`broken ${error.message}`));
        });
      })),
  );
  assert.deepEqual([...new Set(results)], ['done']);
});

test('SIGTERM lets a running stream end, then the server leaves with 0', async () => {
  const own = await Stack.start({ AIB_WORDS_PER_SECOND: '20' });
  const response = await own.fetch('/chat/stream', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ask('What is FastAPI?')) });
  const reader = response.body.getReader();
  await reader.read();
  const stopped = own.server.stop();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += Buffer.from(value).toString();
  }
  assert.match(text, /event: done/);
  assert.equal((await stopped).code, 0);
  await own.stop();
});
