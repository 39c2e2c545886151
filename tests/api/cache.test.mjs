// The answer cache: what is asked again costs nothing, and never outlives the documents it rests on.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startAccounts } from './accounts.mjs';

describe('the answer cache', () => {
  let stack;
  before(async () => {
    stack = await startAccounts({
      env: { AIB_CACHE: 'auto', AIB_CACHE_THRESHOLD: '0.99' },
      models: { vectors: { kind: 'embedding' } },
    });
  });
  after(() => stack.stop());
  const ask = (prompt, more = {}) => stack.json('POST', '/v1/chat', { prompt, model: 'paid', temperature: 0, retrieval: { enabled: false }, ...more });
  const calls = async () => (await stack.upstream.requests(({ path }) => path.endsWith('/chat/completions'))).length;

  test('the same question with temperature 0 asks the model once; x-cache tells, and the ledger counts nothing twice', async () => {
    const from = await calls();
    const first = await ask('what is cached?');
    assert.deepEqual([first.headers.get('x-cache'), first.body.cache], ['MISS', '']);
    const again = await ask('what is cached?', {});
    assert.deepEqual([again.headers.get('x-cache'), again.body.cache, again.body.response], ['HIT', 'exact', first.body.response]);
    assert.equal(again.body.cost_nano_usd, '0');
    assert.equal(await calls(), from + 1);
    const row = await stack.ledgerRow(({ request_id, status }) => request_id === again.body.id && status === 'OK');
    assert.deepEqual([row.cache, row.total_tokens, row.cost_nano_usd, row.upstream_calls], ['exact', 0, '0', 0]);
  });

  test('a stream gets it too, whole and with its end', async () => {
    await ask('streamed?');
    const from = await calls();
    const response = await stack.fetch('/v1/chat/stream', {
      method: 'POST', headers: { ...stack.headers, 'content-type': 'application/json' }, body: JSON.stringify({ prompt: 'streamed?', model: 'paid', temperature: 0, retrieval: { enabled: false } }),
    });
    const text = await response.text();
    assert.match(text, /You said: streamed\?/);
    assert.match(text, /event: done/);
    assert.equal(await calls(), from);
  });

  test('another temperature, model, system message or "off" asks again', async () => {
    await ask('differs?');
    for (const more of [{ temperature: 0.1 }, { cache: { mode: 'off' } }, { max_tokens: 7 }, { seed: '3' }]) {
      const from = await calls();
      await ask('differs?', more);
      assert.equal(await calls(), from + 1, JSON.stringify(more));
    }
    const from = await calls();
    await ask('asked for', { temperature: 1, cache: { mode: 'exact' } });
    await ask('asked for', { temperature: 1, cache: { mode: 'exact' } });
    assert.equal(await calls(), from + 1);
  });

  test('a document that comes or goes makes grounded answers new', async () => {
    const grounded = () => ask('What cools the zorblax reactor?', { retrieval: { enabled: true } });
    await grounded();
    assert.equal((await grounded()).body.cache, 'exact');
    await stack.json('POST', '/v1/documents', { documents: [{ id: 'z', text: 'Xenon cools the zorblax reactor.' }] });
    const fresh = await grounded();
    assert.equal(fresh.body.cache, '');
    assert.equal((await grounded()).body.cache, 'exact');
    await stack.json('DELETE', '/v1/documents/z');
    assert.equal((await grounded()).body.cache, '');
  });

  test('a failure is not kept', async () => {
    await stack.upstream.control({ next: [{ fault: 'http-400' }] });
    assert.notEqual((await ask('fails once')).status, 200);
    assert.equal((await ask('fails once')).status, 200);
  });

  test('semantic is opt-in: the same words in one embedding are the same question', async () => {
    const semantic = { cache: { mode: 'semantic', threshold: 0.99 } };
    const first = await ask('a question of meaning', semantic);
    assert.equal(first.body.cache, '');
    const again = await ask('a question of meaning', semantic);
    assert.ok(['exact', 'semantic'].includes(again.body.cache));
    const far = await ask('something else entirely', semantic);
    assert.equal(far.body.cache, '', 'the imposter\'s vectors of other texts are far');
    const loose = await ask('nothing like it', { cache: { mode: 'semantic', threshold: 0 } });
    assert.equal(loose.body.cache, '', 'a request may ask for more likeness than the server, not for less');
  });
});
