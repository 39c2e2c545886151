// A limit is a limit: 64 callers race a cap on tokens and one on money, and the ledger never passes it; nothing stays reserved, also
// not when the server is killed in the middle of it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { allRows, bearer, createKey, monthOf, startAccounts, sumOf } from './accounts.mjs';
import { eventually, Process } from './stack.mjs';

const CALLERS = 64;
const TOKENS_CAP = 100_000;
const MONEY_CAP = 1_000_000_000; // nano-USD: one dollar

// Asks until the quota is used up, or `stop` says so; gives how many were answered. Half of the callers stream, half name no max_tokens.
async function caller(stack, key, n, stop = () => false) {
  let answered = 0;
  while (!stop()) {
    const streams = n % 2 === 0;
    const request = { prompt: 'hello there', model: 'paid', retrieval: { enabled: false }, ...(n % 4 < 2 ? { max_tokens: 200 } : {}) };
    const response = await fetch(`${stack.url}/v1/chat${streams ? '/stream' : ''}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(key) },
      body: JSON.stringify(request),
    }).catch(() => null);
    if (!response) return answered; // the server was killed
    const text = await response.text().catch(() => '');
    if (response.status === 200) {
      answered++;
      continue;
    }
    if (response.status !== 429) {
      if (stop()) return answered;
      throw new Error(`${response.status}: ${text}`);
    }
    const { error } = JSON.parse(text);
    assert.equal(error.reason, 'QUOTA_EXCEEDED', text);
    const seconds = Number(response.headers.get('retry-after'));
    assert.ok(seconds >= 1, 'says when to come again');
    if (seconds > 60) return answered; // only another month helps
    await new Promise((resolve) => setTimeout(resolve, 20)); // running requests will give back
  }
  return answered;
}

const race = (stack, key, stop) => Promise.all(Array.from({ length: CALLERS }, (_, n) => caller(stack, key, n, stop)));

async function checkSettled(stack, { id }, cap, measure) {
  const month = await eventually(async () => {
    const now = await monthOf(stack, id);
    return now.reserved_tokens === '0' && now.reserved_nano_usd === '0' ? now : null;
  }, 'nothing stays reserved', 20_000);
  const used = [Number(month.used_tokens), Number(month.used_nano_usd)];
  let rows, sum;
  await eventually(async () => { // the last rows may wait for their commit
    rows = await allRows(stack, { key_id: id });
    sum = sumOf(rows);
    return sum.tokens >= used[0];
  }, 'the ledger has what was used', 5_000).catch(() => null);
  assert.ok(sum[measure] <= cap, `the ledger has ${sum[measure]}, the cap is ${cap}`);
  assert.deepEqual(used, [sum.tokens, sum.nanoUsd], 'the quota is what the ledger says');
  return { sum, rows };
}

describe('64 callers race a cap', () => {
  let stack;
  before(async () => {
    stack = await startAccounts();
    await stack.upstream.control({ tokens: 150, firstTokenDelayMs: 5 });
  });
  after(() => stack.stop());

  for (const [measure, cap, limits] of [
    ['tokens', TOKENS_CAP, { tokens_per_month: String(TOKENS_CAP) }],
    ['nanoUsd', MONEY_CAP, { nano_usd_per_month: String(MONEY_CAP) }],
  ]) {
    test(`of ${measure}`, async () => {
      const key = await createKey(stack, { limits });
      const answered = (await race(stack, key.key)).reduce((a, b) => a + b, 0);
      const { sum, rows } = await checkSettled(stack, key, cap, measure);
      assert.equal(rows.filter(({ status }) => status === 'OK').length, answered);
      assert.ok(sum[measure] > cap * 0.95, `only ${sum[measure]} of ${cap} could be used`);
    });
  }
});

test('64 callers, and the server is killed in the middle: after the lease nothing is reserved, and the cap holds', async () => {
  const stack = await startAccounts({ env: { AIB_RESERVATION_LEASE_MS: '10000' } });
  try {
    await stack.upstream.control({ tokens: 150, firstTokenDelayMs: 150 });
    const key = await createKey(stack, { limits: { tokens_per_month: String(TOKENS_CAP) } });
    let killed = false;
    const racing = race(stack, key.key, () => killed);
    await eventually(async () => Number((await monthOf(stack, key.id)).used_tokens) > TOKENS_CAP / 4, 'a quarter is used');
    // From now on answers don't end by themselves; and the export waits for what is to be written of those under way.
    const from = new Date().toISOString();
    await stack.upstream.control({ tokens: 150, firstTokenDelayMs: 30_000 });
    await eventually(async () => (await allRows(stack, { key_id: key.id, status: 'RUNNING', from })).length > 0, 'some are under way');
    await eventually(async () => Number((await monthOf(stack, key.id)).reserved_tokens) > 0, 'and hold something');
    assert.equal((await stack.fetch('/v1/usage/export?format=jsonl', { headers: stack.headers }).then((r) => r.text().then(() => r))).status, 200);
    killed = true;
    await stack.server.stop('SIGKILL');
    await racing;
    stack.server = new Process('aibackend-server', [], stack.env);
    await stack.ready();
    await stack.upstream.control({ tokens: 150, firstTokenDelayMs: 5 });

    const month = await monthOf(stack, key.id);
    assert.ok(Number(month.reserved_tokens) > 0, 'what was under way still counts');
    const interrupted = await allRows(stack, { key_id: key.id, status: 'ERROR' });
    assert.ok(interrupted.some(({ error_reason }) => error_reason === 'INTERRUPTED'));

    await eventually(async () => Number((await monthOf(stack, key.id)).reserved_tokens) === 0, 'the lease ends', 30_000);
    await race(stack, key.key);
    const { sum } = await checkSettled(stack, key, TOKENS_CAP, 'tokens');
    assert.ok(sum.tokens > TOKENS_CAP * 0.95, `only ${sum.tokens} could be used`);
  } finally {
    await stack.stop();
  }
});
