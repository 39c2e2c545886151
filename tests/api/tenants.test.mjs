// Tenants never see each other: a test for each resource.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ADMIN_KEY, bearer, createKey, startAccounts } from './accounts.mjs';
import { eventually } from './stack.mjs';

describe('two tenants', () => {
  let stack, acme, zeta;
  before(async () => {
    stack = await startAccounts({ env: { AIB_CACHE: 'auto' } });
    [acme, zeta] = [await createKey(stack, { tenant_id: 'acme' }), await createKey(stack, { tenant_id: 'zeta' })];
  });
  after(() => stack.stop());
  const call = (who, method, target, body, headers = {}) => stack.json(method, target, body, { ...bearer(who.key), ...headers });
  const chatOf = (who, prompt, more = {}, headers = {}) =>
    call(who, 'POST', '/v1/chat', { prompt, model: 'paid', retrieval: { enabled: false }, ...more }, headers);

  test('documents: the same id is two documents, found by its own tenant alone', async () => {
    const text = 'The zorblax reactor is cooled by liquid xenon in a ring of copper pipes.';
    assert.equal((await call(acme, 'POST', '/v1/documents', { documents: [{ id: 'd', title: 'Z', text }] })).status, 200);
    assert.equal((await call(zeta, 'GET', '/v1/documents/d')).status, 404);
    assert.deepEqual((await call(zeta, 'GET', '/v1/documents')).body.documents, []);
    assert.deepEqual((await call(zeta, 'GET', '/v1/retrieve?query=zorblax+reactor')).body.matches, []);
    const { body } = await call(zeta, 'POST', '/v1/chat', { prompt: 'What cools the zorblax reactor?', model: 'extractive' });
    assert.equal(body.outcome, 'NO_CONTEXT');
    assert.equal((await call(acme, 'GET', '/v1/retrieve?query=zorblax+reactor')).body.matches[0].document_id, 'd');
    assert.equal((await call(zeta, 'DELETE', '/v1/documents/d')).status, 404);
    assert.equal((await call(zeta, 'DELETE', '/v1/collections/default')).status, 404);
    assert.equal((await call(zeta, 'POST', '/v1/documents', { documents: [{ id: 'd', text: 'Ours is another.' }] })).status, 200);
    assert.equal((await call(acme, 'GET', '/v1/documents/d')).body.text, text);
    assert.equal((await call(zeta, 'GET', '/v1/documents/d')).body.text, 'Ours is another.');
  });

  test('jobs: another tenant\'s is not found, and not listed; a job works on its own tenant\'s documents', async () => {
    const { body: job } = await call(acme, 'POST', '/v1/jobs', { kind: 'index_documents', params: { documents: [{ id: 'by-job', text: 'Made by a job.' }] } });
    assert.equal((await call(zeta, 'GET', `/v1/jobs/${job.job_id}`)).body.error.reason, 'JOB_NOT_FOUND');
    assert.deepEqual((await call(zeta, 'GET', '/v1/jobs')).body.jobs, []);
    await eventually(async () => (await call(acme, 'GET', `/v1/jobs/${job.job_id}`)).body.status === 'SUCCEEDED', 'the job');
    assert.equal((await call(acme, 'GET', '/v1/documents/by-job')).status, 200);
    assert.equal((await call(zeta, 'GET', '/v1/documents/by-job')).status, 404);
    assert.equal((await call(zeta, 'POST', '/v1/jobs', { kind: 'index_documents', params: { tenant: 'acme' } })).status, 400);
  });

  test('usage: rows, summaries, exports, one request and quotas', async () => {
    assert.equal((await chatOf(acme, 'our secret plan', {}, { 'x-request-id': 'acme-1' })).status, 200);
    await eventually(async () => (await call(acme, 'GET', '/v1/usage')).body.requests.some(({ request_id, status }) => request_id === 'acme-1' && status === 'OK'), 'its row');
    const auditor = await createKey(stack, { tenant_id: 'zeta', scopes: ['usage'] });
    for (const who of [zeta, auditor]) {
      const { body } = await call(who, 'GET', '/v1/usage?page_size=1000');
      assert.ok(body.requests.every(({ tenant_id }) => tenant_id === 'zeta'));
      assert.equal((await call(who, 'GET', '/v1/requests/acme-1')).body.error.reason, 'REQUEST_NOT_FOUND');
      assert.equal((await call(who, 'GET', '/v1/usage?tenant_id=acme')).status, 403);
      assert.equal((await call(who, 'GET', '/v1/usage/summary?tenant_id=acme')).status, 403);
      const summary = (await call(who, 'GET', '/v1/usage/summary?group_by=tenant')).body;
      assert.ok(summary.groups.every(({ tenant_id }) => tenant_id === 'zeta'));
      assert.notEqual((await call(who, 'GET', `/v1/quotas?key_id=${acme.id}`)).status, 200);
    }
    const file = await (await stack.fetch('/v1/usage/export', { headers: bearer(auditor.key) })).text();
    assert.ok(!file.includes('our secret plan') && file.includes('zeta'));
    // One's own key alone, where it has no scopes.
    const colleague = await createKey(stack, { tenant_id: 'acme' });
    assert.deepEqual((await call(colleague, 'GET', '/v1/usage')).body.requests, []);
    assert.equal((await call(colleague, 'GET', '/v1/requests/acme-1')).status, 404);
    const { body } = await stack.json('GET', '/v1/requests/acme-1');
    assert.equal(body.request.prompt, 'our secret plan');
    assert.ok(body.timeline.length >= 2);
    assert.equal(body.price.model, 'paid');
  });

  test('the answer cache', async () => {
    const hit = async (who) => (await chatOf(who, 'a cached question', { temperature: 0 })).body.cache;
    assert.equal(await hit(acme), '');
    assert.equal(await hit(acme), 'exact');
    assert.equal(await hit(zeta), '');
  });

  test('idempotency: the same key is another key', async () => {
    const key = { 'idempotency-key': 'k1' };
    const first = (await chatOf(acme, 'one', {}, key)).body;
    assert.equal((await chatOf(acme, 'one', {}, key)).body.id, first.id);
    const other = await chatOf(zeta, 'two', {}, key);
    assert.equal(other.status, 200);
    assert.notEqual(other.body.id, first.id);
    const jobs = [];
    for (const who of [acme, zeta]) jobs.push((await call(who, 'POST', '/v1/jobs', { kind: 'analyze_usage' }, key)).body.job_id);
    assert.notEqual(jobs[0], jobs[1]);
    const resumed = await stack.fetch('/v1/chat/stream', {
      method: 'POST', headers: { ...bearer(zeta.key), 'content-type': 'application/json', 'idempotency-key': 'only-acme', 'last-event-id': '1' }, body: JSON.stringify({ prompt: 'x', model: 'paid' }),
    });
    assert.equal(resumed.status, 404);
  });

  test('an analysis of usage is of one\'s own tenant', async () => {
    const { body: job } = await call(zeta, 'POST', '/v1/jobs', { kind: 'analyze_usage' });
    const done = await eventually(async () => {
      const { body } = await call(zeta, 'GET', `/v1/jobs/${job.job_id}`);
      return body.status === 'SUCCEEDED' ? body : null;
    }, 'the job');
    const total = Number(done.result.overall.requests);
    await eventually(async () => {
      const { body } = await stack.json('GET', '/v1/usage?tenant_id=zeta&page_size=1000');
      return body.requests.length >= total;
    }, 'no more than the tenant has');
  });
});
