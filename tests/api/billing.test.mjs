// The job export_billing sends each request's use once, as Stripe's meter events, whatever the receiver does and whenever the server is killed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { bearer, createKey, startAccounts } from './accounts.mjs';
import { eventually, Process } from './stack.mjs';

const KEY = 'sk_test_of_the_tests';

// Keeps what it is sent; `fail(n)` may answer the n-th request itself.
class Meter {
  events = [];
  requests = 0;
  fail = () => null;
  static async start() {
    const meter = new Meter();
    meter.server = http.createServer(async (request, response) => {
      const body = await text(request).catch(() => null);
      if (body === null) return; // the server was killed while it sent
      const failure = meter.fail(++meter.requests);
      if (failure) return response.writeHead(failure.status, failure.headers ?? {}).end(failure.body ?? '');
      meter.events.push({ headers: request.headers, ...Object.fromEntries(new URLSearchParams(body)) });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    }).listen(0, '127.0.0.1');
    await once(meter.server, 'listening');
    meter.url = `http://127.0.0.1:${meter.server.address().port}/v1/billing/meter_events`;
    return meter;
  }
  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const start = (stack) => stack.json('POST', '/v1/jobs', { kind: 'export_billing' });
const ended = (stack, { job_id }, timeout = 60_000) =>
  eventually(async () => {
    const { body } = await stack.json('GET', `/v1/jobs/${job_id}`);
    return ['SUCCEEDED', 'FAILED'].includes(body.status) ? body : null;
  }, 'the job ends', timeout);

async function chats(stack, key, n) {
  for (let i = 0; i < n; i++) {
    const { status } = await stack.json('POST', '/v1/chat', { prompt: `hello ${i}`, model: 'paid', retrieval: { enabled: false } }, bearer(key.key));
    assert.equal(status, 200);
  }
}

test('usage leaves once, also when the receiver fails and the server is killed midway', async () => {
  const meter = await Meter.start();
  const stack = await startAccounts({ env: { AIB_BILLING_URL: meter.url, AIB_BILLING_API_KEY: KEY, AIB_BILLING_EVENT_NAME: 'tokens_used' } });
  try {
    const key = await createKey(stack, { tenant_id: 'acme' });
    await chats(stack, key, 30);
    meter.fail = (n) => (n === 5 ? { status: 500 } : n === 9 ? { status: 429, headers: { 'retry-after': '1' } } : null);
    const { body: job } = await start(stack);
    const first = await ended(stack, job);
    assert.equal(first.status, 'SUCCEEDED', JSON.stringify(first.error));
    assert.ok(meter.requests > 30, 'what failed was sent again');

    await chats(stack, key, 30);
    let killed = false;
    meter.fail = () => {
      if (meter.events.length >= 40 && !killed) {
        killed = true;
        stack.server.child.kill('SIGKILL');
      }
      return null;
    };
    const { body: second } = await start(stack);
    await eventually(() => killed, 'it is killed');
    await stack.server.exited;
    stack.server = new Process('aibackend-server', [], stack.env);
    await stack.ready();
    assert.equal((await ended(stack, second)).status, 'SUCCEEDED');

    const { body } = await stack.json('GET', '/v1/usage?tenant_id=acme&page_size=1000');
    const rows = new Map(body.requests.filter(({ total_tokens }) => total_tokens > 0).map((row) => [`aib_${row.row_id}`, row]));
    assert.equal(rows.size, 60);
    const sent = new Map();
    for (const event of meter.events) {
      const before = sent.get(event.identifier);
      if (before) assert.deepEqual({ ...before, headers: null }, { ...event, headers: null }, 'the same again');
      sent.set(event.identifier, event);
    }
    assert.deepEqual([...sent.keys()].sort(), [...rows.keys()].sort());
    for (const [identifier, event] of sent) {
      assert.equal(event.event_name, 'tokens_used');
      assert.equal(event['payload[stripe_customer_id]'], 'acme');
      assert.equal(Number(event['payload[value]']), rows.get(identifier).total_tokens);
      assert.equal(event.headers.authorization, `Bearer ${KEY}`);
    }
    const count = meter.events.length;
    const third = await ended(stack, (await start(stack)).body);
    assert.equal(Number(third.result.events), 0);
    assert.equal(meter.events.length, count);
    assert.ok(!stack.server.log.includes(KEY));
  } finally {
    await stack.stop();
    meter.stop();
  }
});

test('what the receiver refuses for good fails the job, with its words; without a URL there is no such job', async () => {
  const meter = await Meter.start();
  meter.fail = () => ({ status: 400, body: '{"error":{"message":"No such meter: tokens"}}' });
  const stack = await startAccounts({ env: { AIB_BILLING_URL: meter.url } });
  try {
    await chats(stack, await createKey(stack), 1);
    const job = await ended(stack, (await start(stack)).body);
    assert.equal(job.status, 'FAILED');
    assert.match(job.error.message, /No such meter/);
  } finally {
    await stack.stop();
    meter.stop();
  }
  const plain = await startAccounts();
  try {
    assert.equal((await start(plain)).body.error.reason, 'JOB_KIND_UNKNOWN');
  } finally {
    await plain.stop();
  }
});
