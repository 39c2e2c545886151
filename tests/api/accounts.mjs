// What tests of accounts share: a stack that asks for keys, with the imposter behind it as a model that has a price.
import assert from 'node:assert/strict';
import { FakeUpstream, modelsToml } from './fake_upstream.mjs';
import { Stack } from './stack.mjs';

export const ADMIN_KEY = 'admin-key-of-the-tests';

// US dollars for a million tokens; with the nano-USD that a token costs.
export const PRICE = { input: 10, output: 20 };
export const costOf = ({ prompt, completion }) => prompt * PRICE.input * 1000 + completion * PRICE.output * 1000;

// `models`: more of them, by name, as modelsToml takes them. `toml`: more of the file.
export async function startAccounts({ env = {}, models = {}, toml = '' } = {}) {
  const upstream = await FakeUpstream.start();
  const paid = { base_url: `${upstream.url}/v1`, upstream_model: 'imposter', retries: 0 };
  const config = `[models.paid]
base_url = "${paid.base_url}"
upstream_model = "imposter"
retries = 0
[models.paid.price]
input = ${PRICE.input}
output = ${PRICE.output}
${modelsToml(Object.fromEntries(Object.entries(models).map(([name, keys]) => [name, { ...paid, ...keys }])))}
${toml}`;
  const stack = await Stack.start(
    { AIB_ADMIN_KEY: ADMIN_KEY, AIB_WORDS_PER_SECOND: '0', AIB_SEED_EMPTY: 'false', AIB_CACHE: 'off', ...env }, config).catch((error) => {
    upstream.stop();
    throw error;
  });
  stack.upstream = upstream;
  const stop = stack.stop.bind(stack);
  stack.stop = async () => {
    upstream.stop();
    await stop();
  };
  return stack;
}

export async function createKey(stack, request = {}) {
  const { status, body } = await stack.json('POST', '/v1/keys', { name: 'test', ...request });
  assert.equal(status, 200, JSON.stringify(body));
  assert.match(body.key, /^aib_[A-Za-z0-9_-]{40,}$/);
  return body;
}

export const bearer = (key) => ({ authorization: `Bearer ${key}` });

// Every row of the ledger that fits the query, over all pages.
export async function allRows(stack, query = {}) {
  const rows = [];
  let page_token = '';
  do {
    const { status, body } = await stack.json('GET', `/v1/usage?${new URLSearchParams({ page_size: '1000', ...query, ...(page_token ? { page_token } : {}) })}`);
    assert.equal(status, 200, JSON.stringify(body));
    rows.push(...body.requests);
    page_token = body.next_page_token;
  } while (page_token);
  return rows;
}

export const sumOf = (rows) => ({
  tokens: rows.reduce((sum, { total_tokens }) => sum + total_tokens, 0),
  nanoUsd: rows.reduce((sum, { cost_nano_usd }) => sum + Number(cost_nano_usd ?? 0), 0),
});

// The month's window of a key's quota.
export async function monthOf(stack, keyId) {
  const { status, body } = await stack.json('GET', `/v1/quotas?key_id=${keyId}`);
  assert.equal(status, 200, JSON.stringify(body));
  return body.windows.find(({ window }) => window === 'month');
}
