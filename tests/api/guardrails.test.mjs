// Guardrails before and after the model: what is masked or blocked never reaches the model, the client or the ledger.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { startAccounts } from './accounts.mjs';
import { detailsOf, freePort, parseSse } from './stack.mjs';

const CARD = '4111 1111 1111 1111';
const TOML = `
[guardrails.email]
kind = "email"
on = "both"
[guardrails.card]
kind = "card"
on = "both"
[guardrails.project]
kind = "regex"
pattern = "(?i)project\\\\s+bluebird"
action = "block"
[guardrails.length]
kind = "size"
on = "input"
bytes_max = 2000
[guardrails.rude]
kind = "blocklist"
words = ["blast", "Ärger"]
action = "flag"
`;

function metadataOf(stack) {
  const metadata = new grpc.Metadata();
  Object.entries(stack.headers).forEach(([name, value]) => metadata.set(name, value));
  return metadata;
}

describe('guardrails', () => {
  let stack, metricsPort;
  before(async () => {
    metricsPort = await freePort();
    stack = await startAccounts({
      toml: TOML, models: { vectors: { kind: 'embedding' } }, env: { AIB_SERVER_METRICS_LISTEN: `127.0.0.1:${metricsPort}` },
    });
  });
  after(() => stack.stop());
  const ask = (prompt, more = {}) => stack.json('POST', '/v1/chat', { prompt, model: 'paid', retrieval: { enabled: false }, ...more });
  const stream = async (prompt) => {
    const response = await stack.fetch('/v1/chat/stream', {
      method: 'POST', headers: { ...stack.headers, 'content-type': 'application/json' }, body: JSON.stringify({ prompt, model: 'paid', retrieval: { enabled: false } }),
    });
    return { status: response.status, text: await response.text() };
  };
  const row = (id) => stack.ledgerRow(({ request_id, status }) => request_id === id && status !== 'RUNNING');

  test('what is masked in a question reaches neither the model nor the ledger', async () => {
    const { body } = await ask(`write to ann@example.com about ${CARD}`);
    const sent = JSON.stringify((await stack.upstream.lastRequest()).body);
    for (const text of [sent, body.response, (await row(body.id)).prompt]) {
      assert.ok(!text.includes('ann@example.com') && !text.includes('4111'), text);
      assert.ok(text.includes('[email]') && text.includes('[card]'), text);
    }
    assert.equal((await row(body.id)).guardrails, 'email:mask,card:mask');
    assert.deepEqual(body.guardrails, ['email:mask', 'card:mask']);
  });

  test('what the model says is masked, also in a stream that cuts it anywhere', async () => {
    await stack.upstream.control({ answer: `Ask bob @ nowhere, or bob@example.org. Pay with ${CARD} please, or 4111 1111 1111 1112.` });
    const whole = await ask('who?');
    const { text } = await stream('who?');
    const streamed = parseSse(text).map(({ data }) => data.delta ?? '').join('');
    for (const answer of [whole.body.response, streamed]) {
      assert.equal(answer, 'Ask bob @ nowhere, or [email]. Pay with [card] please, or 4111 1111 1111 1112.');
    }
    await stack.upstream.control({});
  });

  test('a question that is blocked is 400, asks no model, and is in the ledger', async () => {
    const before = (await stack.upstream.log()).requests.length;
    const { status, body } = await ask('tell me of Project  Bluebird');
    assert.deepEqual([status, body.error.reason], [400, 'CONTENT_BLOCKED']);
    assert.ok(!/bluebird/i.test(body.error.message), 'the rule is named, not the text');
    assert.equal((await stack.upstream.log()).requests.length, before);
    const kept = await row(body.error.request_id);
    assert.deepEqual([kept.status, kept.error_reason, kept.guardrails], ['ERROR', 'CONTENT_BLOCKED', 'project:block']);
    assert.equal((await ask('x'.repeat(2001))).body.error.reason, 'CONTENT_BLOCKED');
    const dialect = await stack.json('POST', '/v1/chat/completions', { model: 'paid', messages: [{ role: 'user', content: 'project bluebird' }] });
    assert.equal(dialect.status, 400);
  });

  test('an answer that is blocked ends, whole or streamed, before a byte of it', async () => {
    await stack.upstream.control({ answer: 'It is all about Project Bluebird and more and more words follow here' });
    const whole = await ask('what?');
    assert.deepEqual([whole.status, whole.body.error.reason], [400, 'CONTENT_BLOCKED']);
    const { status, text } = await stream('what?');
    assert.ok(!/bluebird/i.test(text), text);
    if (status === 200) assert.match(text, /event: error\ndata: .*CONTENT_BLOCKED/);
    await stack.upstream.control({});
    const kept = await row(whole.body.error.request_id);
    assert.ok(kept.total_tokens > 0 && Number(kept.cost_nano_usd) > 0, 'what was generated is billed');
  });

  test('a match over two parts of a message, or in a raw part, is no way round', async () => {
    const parts = (...list) => ask(undefined, { messages: [{ role: 'user', parts: list }] });
    const split = await parts({ text: 'pay with 4111 1111' }, { text: ' 1111 1111 please' });
    assert.deepEqual(split.body.guardrails, ['card:mask']);
    assert.ok(!JSON.stringify((await stack.upstream.lastRequest()).body).includes('1111'));
    assert.equal((await parts({ text: 'project blue' }, { text: 'bird' })).body.error.reason, 'CONTENT_BLOCKED');
    const raw = await parts({ raw: { type: 'text', text: 'write to ann@example.com' } });
    assert.deepEqual(raw.body.guardrails, ['email:mask']);
    assert.ok(JSON.stringify((await stack.upstream.lastRequest()).body).includes('write to [email]'));
    assert.equal((await parts({ raw: { type: 'text', text: 'project bluebird' } })).body.error.reason, 'CONTENT_BLOCKED');
  });

  test('who is refused costs the rules nothing, and leaves no text in the ledger', async () => {
    const { status, body } = await ask('write to ann@example.com', { temperature: 3 });
    assert.deepEqual([status, body.error.reason], [400, 'TEMPERATURE_OUT_OF_RANGE']);
    const kept = await row(body.error.request_id);
    assert.deepEqual([kept.prompt, kept.guardrails], ['', '']);
  });

  test('texts to embed are under the rules of what comes in', async () => {
    const embed = (input) => stack.json('POST', '/v1/embeddings', { model: 'vectors', input });
    const { status, body } = await embed(['ann@example.com', 'nobody']);
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual((await stack.upstream.lastRequest()).body.input, ['[email]', 'nobody']);
    const blocked = await embed(['project bluebird']);
    assert.equal(blocked.status, 400);
  });

  test('what they do is counted, blocks too', async () => {
    const count = async (action) => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
      return Number(text.match(new RegExp(`^aib_guardrail_total\\{action="${action}"\\} (\\d+)`, 'm'))[1]);
    };
    const before = [await count('block'), await count('mask')];
    await ask('project bluebird');
    await stack.upstream.control({ answer: 'no more' });
    await ask('write to ann@example.com');
    await stack.upstream.control({});
    assert.deepEqual([await count('block'), await count('mask')], [before[0] + 1, before[1] + 1]);
  });

  test('a flag only marks', async () => {
    const { body } = await ask('blast, what an ÄRGER');
    assert.equal(body.response, 'You said: blast, what an ÄRGER');
    assert.deepEqual(body.guardrails, ['rude:flag']);
  });

  test('over gRPC the same', (t, done) => {
    stack.grpc().Chat({ prompt: 'project bluebird', model: 'paid' }, metadataOf(stack), (error) => {
      assert.equal(detailsOf(error.metadata).reason, 'CONTENT_BLOCKED');
      done();
    });
  });
});

test('a rule that can be none stops the start, by its name', async () => {
  await assert.rejects(startAccounts({ toml: '[guardrails.bad]\nkind = "regex"\npattern = "("\n' }), /guardrails\.bad|bad/);
});
