// Upstreams behind Chat and ChatStream, an OpenAI-compatible and an Anthropic one, named by the environment: grounding, usage,
// cancellation. What they do wrong: fault_matrix.test.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeUpstream } from './fake_upstream.mjs';
import { ask, eventually, Stack, transports } from './stack.mjs';

let stack, imposter;
before(async () => {
  imposter = await FakeUpstream.start();
  stack = await Stack.start({
    AIB_OPENAI_BASE_URL: `${imposter.url}/v1`,
    AIB_OPENAI_API_KEY: 'sk-very-secret-key',
    AIB_MODEL: 'imposter',
    AIB_ANTHROPIC_BASE_URL: imposter.url,
    AIB_ANTHROPIC_API_KEY: 'sk-ant-very-secret-key',
    AIB_ANTHROPIC_MODEL: 'imposter-claude',
    AIB_UPSTREAM_FIRST_TOKEN_TIMEOUT_MS: '1500',
    AIB_UPSTREAM_IDLE_TIMEOUT_MS: '1500',
  });
});
after(async () => {
  await stack.stop();
  imposter.stop();
});

const control = (scenario) => imposter.control(scenario);
const log = () => imposter.log();
const plain = { retrieval: { enabled: false } };

for (const [name, transport] of Object.entries(transports)) {
  test(`${name}: the upstream answers, whole and streamed, with its own usage`, async () => {
    await control({});
    const whole = await transport.chat(stack, ask('hello there', plain));
    assert.equal(whole.model, 'imposter');
    assert.match(whole.response, /hello there/);
    assert.equal(whole.usage.estimated, false);
    const { deltas, done } = await transport.stream(stack, ask('hello there', plain));
    assert.equal(deltas.join(''), whole.response);
    assert.equal(done.usage.estimated, false);
    assert.equal(done.finish_reason, 'stop');
  });
}

test('retrieval grounds the upstream: the passages are in its prompt', async () => {
  await control({});
  await transports.rest.chat(stack, ask('What is FastAPI?'));
  const { requests } = await log();
  const prompt = JSON.stringify(requests.at(-1).body.messages);
  assert.match(prompt, /Python web framework/);
  assert.match(prompt, /\[1\]/);
});

test('strict without evidence doesn\'t call the model at all', async () => {
  await control({});
  const calls = (await log()).requests.length;
  const answer = await transports.rest.chat(stack, ask('Who won the 1987 Tour de France bicycle race?', { retrieval: { strict: true } }));
  assert.equal(answer.outcome, 'NO_CONTEXT');
  assert.equal((await log()).requests.length, calls);
});

test('the embedded model still answers by name', async () => {
  const answer = await transports.rest.chat(stack, ask('What is FastAPI?', { model: 'extractive' }));
  assert.equal(answer.model, 'extractive');
  assert.match(answer.response, /FastAPI/);
});

test('a client that leaves closes the upstream connection; the row has the tokens so far', async () => {
  await control({ tokens: 500, tokenDelayMs: 20 });
  const prompt = 'a long story please';
  await new Promise((resolve) => {
    const call = stack.grpc().ChatStream(ask(prompt, plain));
    call.on('error', resolve);
    let pieces = 0;
    call.on('data', () => ++pieces === 3 && call.cancel());
  });
  await eventually(async () => (await log()).disconnects.length > 0, 'the upstream sees the client leave', 5000);
  const row = await stack.ledgerRow((r) => r.prompt === prompt && r.status !== 'RUNNING');
  assert.equal(row.status, 'CANCELLED');
  assert.ok(row.completion_tokens > 0);
});

// ---- the Anthropic upstream, by its model's name ----------------------------------------------------

const claude = { model: 'imposter-claude' };
const plainClaude = { ...plain, ...claude };

test('the models are listed in order: OpenAI\'s, which is the default, Anthropic\'s, the embedded one', async () => {
  const { body } = await stack.json('GET', '/v1/models');
  const chat = body.models.filter(({ kind }) => kind === 'chat');
  assert.deepEqual(chat.map(({ id, provider }) => [id, provider]),
    [['imposter', 'openai'], ['imposter-claude', 'anthropic'], ['extractive', 'embedded']]);
  assert.deepEqual(chat.filter((model) => model.is_default).map(({ id }) => id), ['imposter']);
});

for (const [name, transport] of Object.entries(transports)) {
  test(`${name}: the Anthropic upstream answers, whole and streamed, with its own usage`, async () => {
    await control({});
    const whole = await transport.chat(stack, ask('hello there', plainClaude));
    assert.equal(whole.model, 'imposter-claude');
    assert.match(whole.response, /hello there/);
    assert.equal(whole.finish_reason, 'stop');
    assert.equal(whole.usage.estimated, false);
    const { deltas, done } = await transport.stream(stack, ask('hello there', plainClaude));
    assert.equal(deltas.join(''), whole.response);
    assert.equal(done.usage.estimated, false);
    assert.equal(done.finish_reason, 'stop');
    const { headers, body } = (await log()).requests.at(-1);
    assert.equal(headers['x-api-key'], 'sk-ant-very-secret-key');
    assert.equal(headers['anthropic-version'], '2023-06-01');
    assert.equal(body.max_tokens, 4096);
  });

  test(`${name}: a temperature that the Anthropic upstream doesn't take is refused before it is asked`, async () => {
    await control({});
    const calls = (await log()).requests.length;
    const hot = ask('x', { ...plainClaude, temperature: 1.5 });
    for (const call of [transport.chat, transport.stream]) {
      await assert.rejects(call(stack, hot), (error) => {
        assert.equal(error.reason, 'TEMPERATURE_OUT_OF_RANGE');
        assert.equal(error.field, 'temperature');
        return true;
      });
    }
    assert.equal((await log()).requests.length, calls);
    await transport.chat(stack, ask('x', { ...plain, temperature: 1.5 }));
  });

  test(`${name}: an overloaded Anthropic upstream is an honest error, whole and midway`, async () => {
    const unavailable = (error) => {
      assert.equal(error.reason, 'UPSTREAM_UNAVAILABLE');
      assert.ok(!JSON.stringify([error.message, error]).includes('very-secret'), 'the key leaked');
      return true;
    };
    await control({ fault: 'http-529' });
    await assert.rejects(transport.chat(stack, ask('x', plainClaude)), unavailable);
    await control({ fault: 'error-mid-stream' });
    await assert.rejects(transport.stream(stack, ask('a few words to answer', plainClaude)), unavailable);
  });
}

test('retrieval grounds the Anthropic upstream: the passages are in its system prompt', async () => {
  await control({});
  await transports.rest.chat(stack, ask('What is FastAPI?', claude));
  const { system, messages } = (await log()).requests.at(-1).body;
  assert.match(system, /Python web framework/);
  assert.match(system, /\[1\]/);
  assert.deepEqual(messages, [{ role: 'user', content: 'What is FastAPI?' }]);
});

test('a client that leaves closes the Anthropic connection too; the row has the tokens so far', async () => {
  await control({ tokens: 500, tokenDelayMs: 20 });
  const prompt = 'a long story of Claude please';
  await new Promise((resolve) => {
    const call = stack.grpc().ChatStream(ask(prompt, plainClaude));
    call.on('error', resolve);
    let pieces = 0;
    call.on('data', () => ++pieces === 3 && call.cancel());
  });
  await eventually(async () => (await log()).requests.at(-1).ended === 'client_gone', 'the upstream sees the client leave', 5000);
  const row = await stack.ledgerRow((r) => r.prompt === prompt && r.status !== 'RUNNING');
  assert.equal(row.status, 'CANCELLED');
  assert.ok(row.completion_tokens > 0);
});

test('no log line holds a key', async () => {
  for (const program of [stack.server, stack.gateway]) assert.doesNotMatch(program.log, /very-secret/);
});
