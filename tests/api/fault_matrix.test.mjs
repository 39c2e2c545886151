// Every fault of the imposter × {whole, stream} × {alone, with a fallback} × {OpenAI's API, Anthropic's} over REST and gRPC: what the client saw, what
// the ledger says, and how often each upstream was called.
//
// A fault is told by the model's name (upstream_model), so that all cells run side by side on one server; then they are judged.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FakeUpstream, modelsToml } from './fake_upstream.mjs';
import { ask, eventually, Stack, transports } from './stack.mjs';

const CELLS_AT_ONCE = 32;

const UNAVAILABLE = 'UPSTREAM_UNAVAILABLE', TIMEOUT = 'UPSTREAM_TIMEOUT', LIMITED = 'UPSTREAM_RATE_LIMITED', REFUSED = 'UPSTREAM_REFUSED_CREDENTIALS',
  REJECTED = 'UPSTREAM_REJECTED_REQUEST', BAD = 'UPSTREAM_BAD_RESPONSE', TRUNCATED = 'UPSTREAM_TRUNCATED', ANSWER = 'answer';

const CODES = {
  [UNAVAILABLE]: 'UNAVAILABLE', [TIMEOUT]: 'DEADLINE_EXCEEDED', [LIMITED]: 'RESOURCE_EXHAUSTED', [REFUSED]: 'UNAVAILABLE',
  [REJECTED]: 'INVALID_ARGUMENT', [BAD]: 'UNAVAILABLE', [TRUNCATED]: 'UNAVAILABLE',
};

// What happens to a whole answer and to a stream; no `whole`: whole answers don't know the fault. `midway`: after tokens have
// left, so that nothing is tried again. `calls`: of the primary, with one retry.
const both = (outcome, calls = 2) => ({ whole: { outcome, calls }, stream: { outcome, calls } });
const midway = (outcome) => ({ stream: { outcome, calls: 1, midway: true } });
const FAULTS = {
  'http-400': both(REJECTED, 1),
  'http-401': both(REFUSED, 1),
  'http-403': both(REFUSED, 1),
  'http-404': both(REJECTED, 1),
  'http-418': both(BAD),
  'http-500': both(UNAVAILABLE),
  'http-503': both(UNAVAILABLE),
  'http-529': both(UNAVAILABLE),
  'rate-limit&retryAfter=0': both(LIMITED),
  'rate-limit&retryAfter=60': both(LIMITED, 1), // longer than it waits
  html: both(BAD),
  'wrong-content-type': both(BAD),
  empty: { whole: { outcome: BAD, calls: 2 }, stream: { outcome: TRUNCATED, calls: 2 } },
  'reset-before-headers': both(UNAVAILABLE),
  never: both(TIMEOUT, 1),
  'headers-only': both(TIMEOUT, 1),
  'reset-mid-stream': { ...both(TRUNCATED), ...midway(TRUNCATED) },
  'cut-mid-stream': { ...both(TRUNCATED), ...midway(TRUNCATED) },
  'bad-json': { ...both(BAD), ...midway(BAD) },
  'end-mid-stream': midway(TRUNCATED),
  'half-event': midway(TRUNCATED),
  'huge-line&lineBytes=1500000': midway(BAD),
  'error-mid-stream': midway(UNAVAILABLE),
  'stall-mid-stream': midway(TIMEOUT),
  'tool-cut&toolCall=true': midway(TRUNCATED),
  'reset-mid-stream&afterTokens=0': { stream: { outcome: TRUNCATED, calls: 2 } },
  'cut-mid-stream&afterTokens=0': { stream: { outcome: TRUNCATED, calls: 2 } },
  'end-mid-stream&afterTokens=0': { stream: { outcome: TRUNCATED, calls: 2 } },
  'bad-json&afterTokens=0': { stream: { outcome: BAD, calls: 2 } },
  'error-mid-stream&afterTokens=0': { stream: { outcome: UNAVAILABLE, calls: 2 } },
  'stall-mid-stream&afterTokens=0': { stream: { outcome: TIMEOUT, calls: 1 } },
  'no-done': { stream: { outcome: ANSWER, calls: 1 } },
  'no-finish-reason': { stream: { outcome: ANSWER, calls: 1 } },
  'duplicate-done': both(ANSWER, 1),
  none: both(ANSWER, 1),
};

const cells = [];
for (const provider of ['openai', 'anthropic']) {
  for (const [fault, modes] of Object.entries(FAULTS)) {
    for (const [mode, expected] of Object.entries(modes)) {
      for (const fallback of [false, true]) {
        for (const transport of Object.keys(transports)) {
          const model = `${provider} ${fault}${fallback ? ' +second' : ''}`.replaceAll(' ', '/');
          cells.push({ provider, fault, mode, fallback, transport, model, expected, prompt: `what says ${model} ${mode} over ${transport}` });
        }
      }
    }
  }
}

let stack, primary, second;

function config() {
  const timeouts = { connect_timeout_ms: 2000, first_token_timeout_ms: 1500, idle_timeout_ms: 1500, total_timeout_ms: 20_000 };
  const rules = { retries: 1, retry_base_ms: 1, retry_wait_max_ms: 50, breaker_failures: 0, ...timeouts };
  const models = { second: { provider: 'openai', base_url: `${second.url}/v1`, api_key: 'sk-very-secret', ...rules } };
  for (const { provider, fault, fallback, model } of cells) {
    models[model] = {
      provider, base_url: provider === 'openai' ? `${primary.url}/v1` : primary.url, api_key: 'sk-very-secret',
      upstream_model: fault === 'none' ? 'm' : `m?fault=${fault}`, fallbacks: fallback ? ['second'] : [], ...rules,
    };
  }
  return modelsToml(models);
}

async function run(cell) {
  const { chat, stream } = transports[cell.transport];
  const tools = cell.fault.startsWith('tool-cut') ? [{ name: 'get_weather', parameters: toolSchema(cell) }] : [];
  const request = ask(cell.prompt, { model: cell.model, retrieval: { enabled: false }, tools });
  try {
    if (cell.mode === 'stream') {
      const { deltas, done } = await stream(stack, request);
      cell.seen = { ...done, outcome: ANSWER, text: deltas.join('') };
    } else {
      const answer = await chat(stack, request);
      cell.seen = { ...answer, outcome: ANSWER, text: answer.response };
    }
  } catch (failure) {
    cell.seen = { outcome: failure.reason, code: failure.code, text: failure.deltas?.join('') ?? '', message: String(failure) };
  }
}

// raw_json: an object over REST, its text over gRPC.
function toolSchema({ transport }) {
  const schema = { type: 'object', properties: { city: { type: 'string' } } };
  return transport === 'grpc' ? JSON.stringify(schema) : schema;
}

const lastText = ({ body }) => {
  const content = body?.messages?.at(-1)?.content;
  return typeof content === 'string' ? content : content?.map(({ text }) => text).join('');
};
const countByPrompt = (requests) => requests.reduce((counts, request) => counts.set(lastText(request), (counts.get(lastText(request)) ?? 0) + 1), new Map());

before(async () => {
  [primary, second] = [await FakeUpstream.start(), await FakeUpstream.start()];
  stack = await Stack.start({}, config());
  const left = [...cells];
  const worker = async () => {
    for (let cell = left.pop(); cell; cell = left.pop()) await run(cell);
  };
  await Promise.all(Array.from({ length: CELLS_AT_ONCE }, worker));
  const rows = await eventually(async () => {
    const { body } = await stack.json('GET', '/v1/usage?page_size=1000');
    const found = new Map(body.requests.filter(({ status }) => status !== 'RUNNING').map((row) => [row.prompt, row]));
    return cells.every(({ prompt }) => found.has(prompt)) && found;
  }, 'a ledger row for every cell', 20_000);
  const [primaryCalls, secondCalls] = [countByPrompt(await primary.requests()), countByPrompt(await second.requests())];
  for (const cell of cells) {
    cell.row = rows.get(cell.prompt);
    cell.primaryCalls = primaryCalls.get(cell.prompt) ?? 0;
    cell.secondCalls = secondCalls.get(cell.prompt) ?? 0;
  }
});
after(async () => {
  primary?.stop();
  second?.stop();
  await stack?.stop();
});

function judge(cell) {
  const { expected, seen, row, prompt, fallback } = cell;
  const helped = fallback && expected.outcome !== ANSWER && expected.outcome !== REJECTED && !expected.midway;
  const outcome = helped ? ANSWER : expected.outcome;
  assert.equal(seen.outcome, outcome, `the client saw ${seen.message ?? seen.text}`);
  const answeredBy = outcome === ANSWER && helped ? 'second' : cell.model;
  assert.deepEqual([cell.primaryCalls, cell.secondCalls], [expected.calls, helped ? 1 : 0], 'calls of the primary and of the second');
  assert.equal(row.upstream_calls, expected.calls + (helped ? 1 : 0), 'upstream_calls of the ledger');
  assert.equal(row.model, answeredBy);
  if (outcome === ANSWER) {
    assert.equal(seen.text, `You said: ${prompt}`);
    assert.equal(seen.model, answeredBy);
    const words = prompt.split(' ').length;
    assert.deepEqual([row.status, row.error_reason, row.prompt_tokens, row.completion_tokens, row.usage_estimated], ['OK', '', words, words + 2, false]);
    assert.deepEqual([seen.usage.prompt_tokens, seen.usage.completion_tokens, seen.usage.estimated], [words, words + 2, false]);
    return;
  }
  assert.equal(seen.code, CODES[outcome]);
  assert.deepEqual([row.status, row.error_reason], ['ERROR', outcome]);
  if (expected.midway && !cell.fault.startsWith('tool-cut')) {
    assert.equal(seen.text, 'You said: what');
    assert.ok(row.completion_tokens > 0 && row.usage_estimated, 'what was generated is in the ledger, as an estimate');
  }
  if (!expected.midway) assert.deepEqual([seen.text, row.completion_tokens], ['', 0]);
}

for (const provider of ['openai', 'anthropic']) {
  describe(`${provider}'s API`, () => {
    for (const cell of cells.filter((one) => one.provider === provider)) {
      test(`${cell.fault}, ${cell.mode} over ${cell.transport}, ${cell.fallback ? 'with a fallback' : 'alone'}`, () => judge(cell));
    }
  });
}

test('a retry that succeeds is an answer like another, of two calls', async () => {
  for (const [name, transport] of Object.entries(transports)) {
    await primary.control({ next: [{ fault: 'http-503' }, {}, { fault: 'end-mid-stream', afterTokens: 0 }, {}] });
    for (const [mode, prompt] of [['chat', `whole again over ${name}`], ['stream', `streamed again over ${name}`]]) {
      await transport[mode](stack, ask(prompt, { model: 'openai/none', retrieval: { enabled: false } }));
      const row = await stack.ledgerRow((found) => found.prompt === prompt && found.status !== 'RUNNING');
      assert.deepEqual([row.status, row.model, row.upstream_calls, row.usage_estimated], ['OK', 'openai/none', 2, false]);
    }
  }
});

test('no log line holds a key', () => {
  for (const program of [stack.server, stack.gateway]) assert.doesNotMatch(program.log, /very-secret/);
});
