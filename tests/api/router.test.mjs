// Several upstreams, Retry-After, the circuit breaker and the cap, on the real programs. Their rules are tested in
// tests/unit/server/models; here is that the settings compose them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeUpstream, modelsToml } from './fake_upstream.mjs';
import { ask, eventually, Stack, transports } from './stack.mjs';

let stack, one, two;
before(async () => {
  [one, two] = [await FakeUpstream.start(), await FakeUpstream.start()];
  const base_url = `${one.url}/v1`;
  const plain = { provider: 'openai', base_url, retries: 0, breaker_failures: 0 };
  const pair = `
[models.pair]
retries = 0
breaker_failures = 0
[[models.pair.upstreams]]
base_url = "${base_url}"
weight = 1000
[[models.pair.upstreams]]
base_url = "${two.url}/v1"
weight = 0.001
`;
  stack = await Stack.start({}, pair + modelsToml({
    patient: { ...plain, retries: 1, retry_base_ms: 1 },
    guarded: { ...plain, breaker_failures: 2, breaker_open_ms: 300, fallbacks: ['spare'] },
    spare: { ...plain, base_url: `${two.url}/v1` },
    narrow: { ...plain, concurrent_max: 1, queue_max: 1 },
  }));
});
after(async () => {
  one.stop();
  two.stop();
  await stack.stop();
});

const to = (model, prompt) => ask(prompt, { model, retrieval: { enabled: false } });
const chat = (model, prompt) => transports.rest.chat(stack, to(model, prompt));
const rowOf = (prompt) => stack.ledgerRow((row) => row.prompt === prompt && row.status !== 'RUNNING');

test('of two upstreams the other one answers when the first fails', async () => {
  await one.control({ fault: 'http-500' });
  await two.control({});
  const answer = await chat('pair', 'who is there');
  assert.match(answer.response, /who is there/);
  assert.equal(answer.model, 'pair');
  assert.equal((await rowOf('who is there')).upstream_calls, 2);
});

test('a Retry-After that is short enough is waited for', async () => {
  await one.control({ scenario: {}, next: [{ fault: 'rate-limit', retryAfter: '1' }] });
  const from = Date.now();
  const answer = await chat('patient', 'after a while');
  assert.match(answer.response, /after a while/);
  assert.ok(Date.now() - from >= 1000);
  assert.equal((await rowOf('after a while')).upstream_calls, 2);
});

test('an upstream that keeps failing is left alone, and found again when it is well', async () => {
  await one.control({ fault: 'http-500' });
  await two.control({});
  for (const prompt of ['guarded 1', 'guarded 2']) {
    assert.equal((await chat('guarded', prompt)).model, 'spare');
    assert.equal((await rowOf(prompt)).upstream_calls, 2);
  }
  assert.equal((await chat('guarded', 'guarded 3')).model, 'spare');
  assert.equal((await rowOf('guarded 3')).upstream_calls, 1); // the circuit is open
  await one.control({});
  let asked = 0;
  await eventually(async () => (await chat('guarded', `well again ${asked++}`)).model === 'guarded', 'the first upstream serves again');
});

test('what neither runs nor waits at a full upstream is refused at once', async () => {
  await one.control({ tokens: 200, tokenDelayMs: 20 });
  const calls = [];
  for (const name of ['runs', 'waits']) {
    const call = stack.grpc().ChatStream(to('narrow', name));
    call.on('error', () => {});
    call.on('data', () => {});
    calls.push(call);
    await stack.ledgerRow((row) => row.prompt === name);
  }
  await assert.rejects(chat('narrow', 'refused'), { reason: 'OVERLOADED' });
  calls.forEach((call) => call.cancel());
  await rowOf('waits');
});
