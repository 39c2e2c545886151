// 10,000 requests of all kinds, over REST and gRPC: one ledger row each, and tokens and money are what the model server itself counted.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { allRows, bearer, costOf, createKey, PRICE, startAccounts } from './accounts.mjs';
import { eventually } from './stack.mjs';

const REQUESTS = 10_000;
const AT_ONCE = 48;

// A kind: how often of a hundred, what it asks, and how its row ends.
const KINDS = [
  { name: 'whole', share: 30, model: 'paid', status: 'OK' },
  { name: 'stream', share: 20, model: 'paid', stream: true, status: 'OK' },
  { name: 'grpc whole', share: 12, model: 'paid', grpc: true, status: 'OK' },
  { name: 'grpc stream', share: 8, model: 'paid', grpc: true, stream: true, status: 'OK' },
  { name: 'embedding', share: 5, embed: true, status: 'OK' },
  { name: 'no price', share: 3, model: 'unpriced', status: 'OK' },
  { name: 'invalid', share: 8, model: 'paid', more: { temperature: 3 }, status: 'ERROR' },
  { name: 'no such model', share: 3, model: 'none', status: 'ERROR' },
  { name: 'upstream fails', share: 4, model: 'failing', status: 'ERROR' },
  { name: 'cut midway', share: 3, model: 'cut', stream: true, status: 'ERROR' },
  { name: 'timeout', share: 1, model: 'silent', status: 'ERROR' },
  { name: 'client leaves', share: 3, model: 'slow', stream: true, leave: true, status: 'CANCELLED' },
];

const kindOf = (n) => {
  let place = n % 100;
  return KINDS.find(({ share }) => (place -= share) < 0);
};

const questionOf = (kind, n) => ({
  prompt: `question ${n} ${'word '.repeat(n % 17)}`.trim(), model: kind.model, retrieval: { enabled: false }, ...kind.more,
});

async function overRest(stack, headers, kind, n) {
  const abort = new AbortController();
  const [path, body] = kind.embed
    ? ['/v1/embed', { input: [`text ${n} of some words`], model: 'vectors' }]
    : [`/v1/chat${kind.stream ? '/stream' : ''}`, questionOf(kind, n)];
  const response = await fetch(stack.url + path, {
    method: 'POST', signal: abort.signal, body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', 'x-request-id': `r${n}`, ...headers },
  });
  if (kind.leave) {
    for await (const chunk of response.body) {
      if (chunk.length > 0) break; // the first token is there
    }
    return abort.abort();
  }
  await response.text();
}

const overGrpc = (stack, key, kind, n) =>
  new Promise((resolve) => {
    const metadata = new grpc.Metadata();
    metadata.set('x-api-key', key);
    metadata.set('x-request-id', `r${n}`);
    if (!kind.stream) return stack.grpc().Chat(questionOf(kind, n), metadata, resolve);
    const call = stack.grpc().ChatStream(questionOf(kind, n), metadata);
    call.on('data', () => {});
    call.on('error', resolve);
    call.on('end', resolve);
  });

describe('10,000 mixed requests', () => {
  let stack, key, rows;
  before(async () => {
    const at = (name, more = {}) => ({ upstream_model: `imposter?${name}`, ...more });
    stack = await startAccounts({
      env: { AIB_LOG_LEVEL: 'warn' },
      models: {
        failing: at('fault=http-500', { price: PRICE }),
        cut: at('fault=cut-mid-stream', { price: PRICE }),
        silent: at('fault=never', { price: PRICE, first_token_timeout_ms: 300 }),
        slow: at('tokens=2000&tokenDelayMs=5', { price: PRICE }),
        unpriced: at('tokens=3'),
        vectors: { kind: 'embedding', price: PRICE },
      },
    });
    await stack.upstream.control({ cachedTokens: 2 });
    key = await createKey(stack);
    let next = 0;
    const work = async () => {
      for (let n = next++; n < REQUESTS; n = next++) {
        const kind = kindOf(n);
        await (kind.grpc ? overGrpc(stack, key.key, kind, n) : overRest(stack, bearer(key.key), kind, n));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    rows = await eventually(async () => {
      const all = await allRows(stack, { key_id: key.id });
      return all.length >= REQUESTS && all.every(({ status }) => status !== 'RUNNING') ? all : null;
    }, 'every request has its row');
  });
  after(() => stack.stop());

  test('each has one row, that says how it ended', () => {
    assert.equal(rows.length, REQUESTS);
    const byId = new Map(rows.map((row) => [row.request_id, row]));
    assert.equal(byId.size, REQUESTS, 'no id twice');
    for (let n = 0; n < REQUESTS; n++) {
      const row = byId.get(`r${n}`);
      const kind = kindOf(n);
      assert.equal(row?.status, kind.status, `${kind.name}: ${JSON.stringify(row)}`);
      assert.equal(row.tenant_id, 'default');
    }
  });

  test('tokens and money are what the model server counted', async () => {
    const { requests } = await stack.upstream.log();
    const told = requests.filter(({ usage, body }) => usage && !body.model.includes('tokens=3'));
    const answered = rows.filter(({ status, model }) => status === 'OK' && model !== 'unpriced');
    assert.equal(answered.length, told.length);
    const counted = { prompt: 0, completion: 0, cost: 0 };
    for (const { usage } of told) {
      counted.prompt += usage.prompt;
      counted.completion += usage.completion;
      counted.cost += costOf(usage);
    }
    const sum = (field) => answered.reduce((total, row) => total + Number(row[field]), 0);
    assert.deepEqual({ prompt: sum('prompt_tokens'), completion: sum('completion_tokens'), cost: sum('cost_nano_usd') }, counted);
    assert.ok(answered.every(({ usage_estimated, price_unknown, price_version }) => !usage_estimated && !price_unknown && Number(price_version) > 0));
  });

  test('an unknown price is marked, and no cost is told', () => {
    const unpriced = rows.filter(({ model, status }) => model === 'unpriced' && status === 'OK');
    assert.equal(unpriced.length, (REQUESTS / 100) * 3);
    for (const row of unpriced) {
      assert.equal(row.price_unknown, true);
      assert.equal(row.cost_nano_usd, undefined);
      assert.equal(row.estimated_cost, undefined);
    }
  });

  test('what was generated for a client that left is billed, as an estimate', () => {
    const left = rows.filter(({ status }) => status === 'CANCELLED');
    assert.ok(left.length > 0);
    for (const row of left) {
      assert.ok(row.completion_tokens > 0 && row.usage_estimated, JSON.stringify(row));
      assert.ok(Number(row.cost_nano_usd) > 0);
    }
  });

  test('the summary adds up to the rows', async () => {
    const { body } = await stack.json('GET', `/v1/usage/summary?key_id=${key.id}&group_by=model&group_by=endpoint`);
    const sum = (field) => body.groups.reduce((total, group) => total + Number(group[field]), 0);
    assert.equal(sum('requests'), REQUESTS);
    assert.equal(sum('requests'), Number(body.total.requests));
    for (const [field, of] of [['prompt_tokens', 'prompt_tokens'], ['completion_tokens', 'completion_tokens'], ['cost_nano_usd', 'cost_nano_usd']]) {
      assert.equal(Number(body.total[field]), rows.reduce((total, row) => total + Number(row[of] ?? 0), 0), field);
      assert.equal(sum(field), Number(body.total[field]), field);
    }
    assert.equal(Number(body.total.errors), rows.filter(({ status }) => status === 'ERROR').length);
    assert.equal(Number(body.total.cancelled), rows.filter(({ status }) => status === 'CANCELLED').length);
    assert.ok(body.total.latency.p50_ms <= body.total.latency.p99_ms);
    assert.ok(body.total.time_to_first_token.p50_ms > 0);
  });

  test('the export has every row, as CSV and as JSONL', async () => {
    const csv = await (await stack.fetch(`/v1/usage/export?key_id=${key.id}`, { headers: stack.headers })).text();
    assert.equal(csv.trimEnd().split('\r\n').length, REQUESTS + 1);
    const response = await stack.fetch(`/v1/usage/export?format=jsonl&key_id=${key.id}`, { headers: stack.headers });
    assert.match(response.headers.get('content-type'), /jsonl|ndjson/);
    const lines = (await response.text()).trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(lines.length, REQUESTS);
    const exported = new Map(lines.map((line) => [line.row_id, line]));
    for (const row of rows) assert.deepEqual(exported.get(row.row_id), row);
  });
});
