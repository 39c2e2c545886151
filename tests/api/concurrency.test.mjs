// Five hundred requests at once, whole and streamed, over REST and gRPC: each gets its own answer and its own row.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { FakeUpstream, modelsToml } from './fake_upstream.mjs';
import { ask, eventually, Stack, transports } from './stack.mjs';

const REQUESTS = 500;

let stack, upstream;
before(async () => {
  upstream = await FakeUpstream.start();
  const rules = { retries: 0, breaker_failures: 0, first_token_timeout_ms: 60_000, idle_timeout_ms: 60_000 };
  stack = await Stack.start({}, modelsToml({
    gpt: { provider: 'openai', base_url: `${upstream.url}/v1`, ...rules },
    claude: { provider: 'anthropic', base_url: upstream.url, ...rules },
  }));
});
after(async () => {
  upstream?.stop();
  await stack?.stop();
});

// A prompt like no other, of 3 to 22 words.
function promptOf(i) {
  const words = createHash('sha256').update(`prompt ${i}`).digest('hex').match(/.{3}/g);
  return [`request-${i}`, ...words.slice(0, 2 + (i % 20))].join(' ');
}

test(`${REQUESTS} requests at once each get their own answer, and the ledger has each one's tokens`, async () => {
  await upstream.control({ tokenDelayMs: 5 }); // so that streams interleave
  const calls = Array.from({ length: REQUESTS }, async (_, i) => {
    const transport = transports[i % 2 ? 'grpc' : 'rest'];
    const prompt = promptOf(i);
    const request = ask(prompt, { model: i % 8 < 4 ? 'gpt' : 'claude', user: `user-${i}`, retrieval: { enabled: false } });
    if (i % 4 < 2) {
      const { response, usage, id } = await transport.chat(stack, request);
      return { prompt, response, usage, id };
    }
    const { deltas, done } = await transport.stream(stack, request);
    return { prompt, response: deltas.join(''), usage: done.usage, id: done.id };
  });
  const answers = await Promise.all(calls);
  for (const { prompt, response, usage } of answers) {
    const words = prompt.split(' ').length;
    assert.equal(response, `You said: ${prompt}`);
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.estimated], [words, words + 2, false]);
  }
  assert.equal(new Set(answers.map(({ id }) => id)).size, REQUESTS);

  const rows = await eventually(async () => {
    const { body } = await stack.json('GET', '/v1/usage?page_size=1000');
    return body.requests.every(({ status }) => status !== 'RUNNING') && body.requests.length >= REQUESTS && body.requests;
  }, `${REQUESTS} ended rows`, 10_000);
  assert.equal(rows.length, REQUESTS);
  const byId = new Map(rows.map((row) => [row.request_id, row]));
  for (const [i, { id, prompt, response }] of answers.entries()) {
    const row = byId.get(id);
    const words = prompt.split(' ').length;
    assert.deepEqual(
      [row.status, row.user_id, row.prompt, row.response, row.prompt_tokens, row.completion_tokens, row.usage_estimated, row.upstream_calls],
      ['OK', `user-${i}`, prompt, response, words, words + 2, false, 1],
    );
  }
  assert.equal((await upstream.requests()).length, REQUESTS);
});
