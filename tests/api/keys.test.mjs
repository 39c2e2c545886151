// Who may call: keys that are wrong, expired, revoked or not allowed, JWTs, and servers that ask nobody.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { ADMIN_KEY, bearer, createKey } from './accounts.mjs';
import { ask, detailsOf, eventually, Process, Stack } from './stack.mjs';

const chat = (stack, headers) => stack.json('POST', '/v1/chat', ask('hi'), headers);
const listed = (stack, headers) => stack.json('GET', '/v1/documents', undefined, headers);

const overGrpc = (stack, metadata, rpc = 'ListDocuments', client = stack.grpc()) =>
  new Promise((resolve) => {
    const headers = new grpc.Metadata();
    Object.entries(metadata).forEach(([name, value]) => headers.set(name, value));
    client[rpc]({}, headers, (error, response) => resolve(error ? { code: error.code, ...detailsOf(error.metadata) } : { code: 0, response }));
  });

describe('keys', () => {
  let stack;
  before(async () => {
    stack = await Stack.start({ AIB_ADMIN_KEY: ADMIN_KEY });
    stack.headers = {};
  });
  after(() => stack.stop());
  const admin = bearer(ADMIN_KEY);
  const make = async (request) => {
    stack.headers = admin;
    const made = await createKey(stack, request);
    stack.headers = {};
    return made;
  };

  test('without one: 401, over REST and gRPC; health needs none', async () => {
    const { status, body } = await listed(stack, {});
    assert.deepEqual([status, body.error.reason], [401, 'KEY_REQUIRED']);
    assert.deepEqual(await overGrpc(stack, {}), { code: grpc.status.UNAUTHENTICATED, reason: 'KEY_REQUIRED', field: '' });
    for (const target of ['/health', '/ready', '/metrics', '/docs']) assert.equal((await stack.fetch(target)).status, 200, target);
  });

  test('a 401 names the scheme in each dialect, whole or streamed', async () => {
    const question = { model: 'extractive', max_tokens: 5, messages: [{ role: 'user', content: 'x' }] };
    for (const [method, target, body] of [
      ['GET', '/v1/documents'], ['POST', '/v1/chat', { prompt: 'x' }], ['POST', '/v1/chat/stream', { prompt: 'x' }],
      ['POST', '/v1/chat/completions', question], ['POST', '/v1/chat/completions', { ...question, stream: true }],
      ['POST', '/v1/messages', question], ['POST', '/v1/messages', { ...question, stream: true }],
    ]) {
      for (const headers of [{}, bearer('aib_wrong')]) {
        const answer = await stack.json(method, target, body, headers);
        assert.deepEqual([answer.status, answer.headers.get('www-authenticate')], [401, 'Bearer'], target);
      }
    }
  });

  test('wrong, expired and revoked ones get one answer, to the letter', async () => {
    const revoked = await make({});
    assert.equal((await stack.json('DELETE', `/v1/keys/${revoked.id}`, undefined, admin)).body.revoked, true);
    const short = await make({ expires_in_seconds: '3' });
    assert.equal((await listed(stack, bearer(short.key))).status, 200);
    await eventually(async () => (await listed(stack, bearer(short.key))).status === 401, 'it expires', 5_000);
    const answers = [];
    for (const key of [`aib_${'x'.repeat(43)}`, `${ADMIN_KEY}x`, 'nonsense', 'ey.ey.ey', revoked.key, short.key, revoked.key.slice(0, -1)]) {
      for (const headers of [bearer(key), { 'x-api-key': key }]) {
        const { status, body } = await listed(stack, headers);
        delete body.error.request_id;
        answers.push(JSON.stringify([status, body]));
      }
      const { code, reason } = await overGrpc(stack, { 'x-api-key': key });
      assert.deepEqual([code, reason], [grpc.status.UNAUTHENTICATED, 'KEY_INVALID']);
    }
    assert.equal(new Set(answers).size, 1, answers.join('\n'));
    assert.match(answers[0], /KEY_INVALID/);
  });

  test('scopes: what is not among them is 403 and says what it needs', async () => {
    const reader = await make({ scopes: ['documents.read'] });
    assert.equal((await listed(stack, bearer(reader.key))).status, 200);
    for (const [method, target, body, scope] of [
      ['POST', '/v1/chat', ask('hi'), 'chat'], ['POST', '/seed', {}, 'documents.write'], ['POST', '/v1/jobs', {}, 'jobs'],
      ['POST', '/v1/keys', { name: 'x' }, 'admin'], ['GET', '/v1/keys', undefined, 'admin'], ['GET', '/v1/usage/export', undefined, 'usage'],
      ['POST', '/v1/embeddings', { input: 'x', model: 'y' }, 'embed'],
    ]) {
      const { status, body: answer } = await stack.json(method, target, body, bearer(reader.key));
      assert.equal(status, 403, target);
      if (answer.error.reason) assert.equal(answer.error.reason, 'SCOPE_MISSING', target);
      assert.match(answer.error.message, new RegExp(`"${scope}"`));
    }
    const all = await make({}); // without scopes: all of its tenant, but nothing of the admin's
    assert.equal((await chat(stack, bearer(all.key))).status, 200);
    assert.equal((await stack.json('GET', '/v1/keys', undefined, bearer(all.key))).status, 403);
    const job = await stack.json('POST', '/v1/jobs', { kind: 'purge_usage', params: { days: 30 } }, bearer(all.key));
    assert.deepEqual([job.status, job.body.error.reason], [403, 'SCOPE_MISSING']);
  });

  test('a rotated key goes on for its overlap, beside the new one', async () => {
    const old = await make({ name: 'rotating', scopes: ['chat'], limits: { requests_per_minute: '6000' } });
    const { body: next } = await stack.json('POST', `/v1/keys/${old.id}/rotate`, { overlap_seconds: '4' }, admin);
    assert.notEqual(next.key, old.key);
    assert.deepEqual([next.info.name, next.info.scopes, next.info.limits.requests_per_minute], ['rotating', ['chat'], '6000']);
    for (const { key } of [old, next]) assert.equal((await chat(stack, bearer(key))).status, 200);
    await eventually(async () => (await chat(stack, bearer(old.key))).status === 401, 'the old one ends', 6_000);
    assert.equal((await chat(stack, bearer(next.key))).status, 200);
    assert.equal((await stack.json('GET', `/v1/keys/${old.id}`, undefined, admin)).body.replaced_by, next.id);
  });

  test('a key that is revoked by another process dies within a second, also in a server that holds calls of it', async () => {
    const { id, key } = await make({});
    assert.equal((await listed(stack, bearer(key))).status, 200);
    const revoke = `.timeout 5000\nUPDATE api_keys SET revoked_at = ${Date.now() * 1000} WHERE id = '${id}';`;
    const sqlite = spawnSync('sqlite3', [path.join(stack.dataDir, 'aibackend.db')], { input: revoke });
    assert.equal(sqlite.status, 0, String(sqlite.stderr));
    const at = Date.now();
    await eventually(async () => (await listed(stack, bearer(key))).status === 401, 'it dies', 5_000);
    assert.ok(Date.now() - at < 1_000, `after ${Date.now() - at} ms`);
  });

  test('a key is shown once and kept nowhere; the list tells it by its beginning', async () => {
    const { id, key, info } = await make({ name: 'shown once', tenant_id: 'acme', user_id: 'ann' });
    assert.ok(key.startsWith(info.prefix) && info.prefix.length < 20);
    const { body } = await stack.json('GET', '/v1/keys?tenant_id=acme', undefined, admin);
    assert.deepEqual(body.keys.map((one) => one.id), [id]);
    assert.ok(!JSON.stringify(body).includes(key));
    const dump = spawnSync('sqlite3', [path.join(stack.dataDir, 'aibackend.db'), '.dump'], { maxBuffer: 1 << 28 });
    assert.ok(!String(dump.stdout).includes(key));
    assert.ok(!stack.server.log.includes(key) && !stack.gateway.log.includes(key) && !stack.server.log.includes(ADMIN_KEY));
  });

  test('what can be no key is refused by its field', async () => {
    for (const [request, reason, field] of [
      [{ tenant_id: 'a b' }, 'FIELD_INVALID', 'tenant_id'], [{ scopes: ['everything'] }, 'FIELD_INVALID', 'scopes'],
      [{ limits: { tokens_per_day: '-1' } }, 'FIELD_OUT_OF_RANGE', 'limits.tokens_per_day'],
      [{ expires_in_seconds: '0' }, 'FIELD_OUT_OF_RANGE', 'expires_in_seconds'], [{ expires_at: '2001-01-01T00:00:00Z' }, '', 'expires_at'],
      [{ name: 'x'.repeat(129) }, '', 'name'],
    ]) {
      const { status, body } = await stack.json('POST', '/v1/keys', request, admin);
      assert.equal(status, 400, JSON.stringify(request));
      assert.ok(body.error.field.startsWith(field), JSON.stringify(body));
      if (reason) assert.equal(body.error.reason, reason);
    }
    assert.equal((await stack.json('GET', '/v1/keys/key_none', undefined, admin)).body.error.reason, 'KEY_NOT_FOUND');
  });

  test('a limit on requests answers 429 with Retry-After, and the ratelimit headers tell where one stands', async () => {
    const { key } = await make({ limits: { requests_per_minute: '12' } }); // a burst of two
    const first = await listed(stack, bearer(key));
    assert.equal(first.status, 200);
    assert.equal(first.headers.get('ratelimit-limit'), '12');
    assert.equal(first.headers.get('ratelimit-remaining'), '1');
    assert.ok(Number(first.headers.get('ratelimit-reset')) >= 1);
    assert.equal(first.headers.get('ratelimit-policy'), '12;w=60');
    assert.equal((await listed(stack, bearer(key))).status, 200);
    const refused = await listed(stack, bearer(key));
    assert.deepEqual([refused.status, refused.body.error.reason], [429, 'RATE_LIMITED']);
    assert.deepEqual(['limit', 'remaining', 'policy'].map((name) => refused.headers.get(`ratelimit-${name}`)), ['12', '0', '12;w=60']);
    const seconds = Number(refused.headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 5, `Retry-After: ${seconds}`);
    const openai = await stack.json('GET', '/v1/models', undefined, bearer(key));
    assert.equal(openai.status, 429, 'dialects too');
  });

  test('requests at once are bounded, and a place is free when one ends', async () => {
    const { key } = await make({ limits: { concurrent: 1 } });
    const slow = await Stack.start({ AIB_ADMIN_KEY: ADMIN_KEY, AIB_WORDS_PER_SECOND: '5' });
    try {
      const { key: mine } = await createKey(slow, { limits: { concurrent: 1 } });
      const abort = new AbortController();
      const running = await slow.fetch('/v1/chat/stream', {
        method: 'POST', signal: abort.signal, headers: { ...bearer(mine), 'content-type': 'application/json' }, body: JSON.stringify(ask('What is FastAPI?')),
      });
      await running.body.getReader().read();
      const refused = await chat(slow, bearer(mine));
      assert.deepEqual([refused.status, refused.body.error.reason], [429, 'RATE_LIMITED']);
      abort.abort();
      await eventually(async () => (await listed(slow, bearer(mine))).status === 200, 'the place is free again', 5_000);
    } finally {
      await slow.stop();
    }
    assert.equal((await listed(stack, bearer(key))).status, 200);
  });
});

describe('JWTs', () => {
  const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = () => Math.floor(Date.now() / 1000);
  const token = (claims, { key = privateKey, alg = 'RS256' } = {}) => {
    const body = `${part({ alg, typ: 'JWT', kid: 'k1' })}.${part({ iss: 'https://issuer', aud: 'aibackend', exp: now() + 60, ...claims })}`;
    if (alg === 'none') return `${body}.`;
    const signature = alg === 'HS256' ? crypto.createHmac('sha256', key).update(body).digest('base64url') : crypto.sign('sha256', Buffer.from(body), key).toString('base64url');
    return `${body}.${signature}`;
  };

  test('from a JWKS file: claims are tenant, user and scopes; whatever is wrong is 401', async () => {
    const file = path.join(os.tmpdir(), `jwks-${process.pid}.json`);
    await writeFile(file, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }] }));
    const stack = await Stack.start({
      AIB_JWT_JWKS_FILE: file, AIB_JWT_ISSUER: 'https://issuer', AIB_JWT_AUDIENCE: 'aibackend', AIB_JWT_CLOCK_SKEW_MS: '1000',
    });
    try {
      const good = token({ sub: 'ann', tenant: 'acme', scope: 'chat documents.read usage' });
      assert.equal((await listed(stack, bearer(good))).status, 200);
      assert.equal((await chat(stack, bearer(good))).status, 200);
      assert.equal((await overGrpc(stack, { authorization: `Bearer ${good}` })).code, 0);
      assert.equal((await stack.json('POST', '/seed', {}, bearer(good))).status, 403);
      const row = await eventually(async () => {
        const { body } = await stack.json('GET', '/v1/usage', undefined, bearer(good));
        return body.requests?.find(({ endpoint, status }) => endpoint === 'Chat' && status === 'OK');
      }, 'its row');
      assert.deepEqual([row.tenant_id, row.user_id, row.key_id], ['acme', 'ann', '']);

      const pem = publicKey.export({ type: 'spki', format: 'pem' });
      const other = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
      for (const [what, bad] of Object.entries({
        expired: token({ exp: now() - 10 }), 'not yet': token({ nbf: now() + 60 }), issuer: token({ iss: 'https://evil' }),
        audience: token({ aud: 'other' }), 'no expiry': token({ exp: undefined }), unsigned: token({}, { alg: 'none' }),
        'public key as a secret': token({}, { alg: 'HS256', key: pem }), 'other key': token({}, { key: other }),
        changed: good.replace(/\.[^.]+\./, `.${part({ iss: 'https://issuer', aud: 'aibackend', exp: now() + 60, tenant: 'evil' })}.`),
      })) {
        const { status, body } = await listed(stack, bearer(bad));
        assert.deepEqual([status, body.error.reason], [401, 'KEY_INVALID'], what);
      }
      assert.equal((await listed(stack, {})).status, 401);
    } finally {
      await stack.stop();
    }
  });
});

test('who tries keys is counted at its address, and a limit that lets nothing through can be mended by the administrator', async () => {
  const stack = await Stack.start({ AIB_ADMIN_KEY: ADMIN_KEY }, '[limits.address]\nrequests_per_minute = 12\n');
  try {
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push((await listed(stack, bearer(`aib_${String(i).repeat(43)}`))).status);
    assert.deepEqual(answers, [401, 401, 429]);
    const nothing = (requests_per_minute) => stack.json('PUT', '/v1/limits', { limits: { requests_per_minute } }, bearer(ADMIN_KEY));
    assert.equal((await nothing('0')).body.tenant_id, 'default');
    assert.equal((await listed(stack, bearer(ADMIN_KEY))).status, 429);
    assert.equal((await nothing('1000')).status, 200);
  } finally {
    await stack.stop();
  }
});

test('open on loopback: nobody needs a key, an SDK\'s placeholder is passed over, but a key that looks like ours must be right', async () => {
  const stack = await Stack.start({});
  try {
    for (const headers of [{}, bearer('none'), { 'x-api-key': 'sk-placeholder' }]) assert.equal((await listed(stack, headers)).status, 200);
    const { key } = await createKey(stack, { tenant_id: 'acme' });
    assert.equal((await listed(stack, bearer(key))).body.documents.length, 0, 'the tenant\'s, not the sample corpus');
    assert.equal((await listed(stack, bearer(`aib_${'x'.repeat(43)}`))).status, 401);
  } finally {
    await stack.stop();
  }
});

test('another address than loopback without a way to know who calls: refuses to start; a gateway that asks for keys makes the server ask', async () => {
  for (const env of [{ AIB_SERVER_LISTEN: '0.0.0.0:0' }, { AIB_AUTH: 'required' }, { AIB_AUTH: 'off', AIB_ADMIN_KEY: ADMIN_KEY }]) {
    const server = new Process('aibackend-server', ['--data-dir', path.join(os.tmpdir(), 'aib-none')], env);
    assert.equal((await server.exited).code, 2, JSON.stringify(env));
    assert.match(server.log, /AIB_ADMIN_KEY|admin key/);
  }
  const gateway = new Process('aibackend-gateway', [], { AIB_GATEWAY_LISTEN: '0.0.0.0:0' });
  assert.equal((await gateway.exited).code, 2);
  const stack = await Stack.start({ AIB_SEED_EMPTY: 'false' });
  const strict = new Process('aibackend-gateway', [], { ...stack.env, AIB_AUTH: 'required', AIB_GATEWAY_LISTEN: '127.0.0.1:0' });
  try {
    const port = await eventually(() => /listening on \S+?:(\d+) /.exec(strict.log)?.[1], `its port: ${strict.log}`);
    const { status } = await fetch(`http://127.0.0.1:${port}/v1/documents`);
    assert.equal(status, 401);
    assert.equal((await listed(stack, {})).status, 200, 'the other gateway is open as before');
  } finally {
    await strict.stop();
    await stack.stop();
  }
});
