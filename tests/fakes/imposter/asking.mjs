// What the imposter's tests share: one imposter for a file, forgotten between tests, and ways to ask it.
import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { Imposter } from './imposter.mjs';

let imposter;
export let base;

before(async () => {
  imposter = new Imposter();
  base = `http://127.0.0.1:${await imposter.listen(0)}`;
});
after(() => imposter.close());
beforeEach(() => fetch(`${base}/control`, { method: 'DELETE' }));

const post = (path, body, headers = {}, options = {}) =>
  fetch(base + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body), ...options });

const messages = [{ role: 'user', content: 'hello there' }];
export const ask = (body, headers, options) => post('/v1/chat/completions', { model: 'imposter', messages, ...body }, headers, options);
export const askClaude = (body, headers = {}) =>
  post('/v1/messages', { model: 'imposter', max_tokens: 100, messages, ...body }, { 'x-api-key': 'k', ...headers });
export const embed = (body, headers) => post('/v1/embeddings', { model: 'm', ...body }, headers);
export const countTokens = (body) => post('/v1/messages/count_tokens', body);
export const control = (body) => post('/control', body);
export const log = async () => (await fetch(`${base}/control/log`)).json();

// The data of each event of an OpenAI stream, [DONE] too.
export const events = (text) => text.split('\n\n').filter(Boolean).map((line) => line.slice('data: '.length));
export const deltas = (list) => list.filter((e) => e !== '[DONE]').map((e) => JSON.parse(e).choices[0]?.delta ?? {});
export const textOf = (list) => deltas(list).map(({ content }) => content ?? '').join('');

// The events of an Anthropic stream.
export const typedEvents = (text) =>
  text.split('\n\n').filter(Boolean).map((block) => {
    const [name, data] = block.split('\n');
    const event = JSON.parse(data.slice('data: '.length));
    assert.equal(name, `event: ${event.type}`);
    return event;
  });

export async function until(condition) {
  for (;;) {
    const seen = await log();
    if (condition(seen)) return seen;
  }
}
