// Hostile and mistaken input over REST: a clear JSON error that names the field, and the service goes on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { ask, Stack } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start({ AIB_WORDS_PER_SECOND: '0' })));
after(() => stack.stop());

async function stillServes() {
  assert.equal((await stack.json('POST', '/chat', ask('What is FastAPI?'))).status, 200);
}

for (const [what, method, target, body, status, reason, field] of [
  ['malformed JSON', 'POST', '/chat', '{"messages":[', 400, 'MALFORMED_JSON', ''],
  ['a trailing comma', 'POST', '/chat', '{"messages":[],}', 400, 'MALFORMED_JSON', ''],
  ['not an object', 'POST', '/chat', '[1,2]', 400, 'WRONG_TYPE', ''],
  ['an unknown field', 'POST', '/chat', '{"mesages":[]}', 400, 'UNKNOWN_FIELD', 'mesages'],
  ['an unknown nested field', 'POST', '/chat', '{"messages":[{"role":"user","contant":"x"}]}', 400, 'UNKNOWN_FIELD', 'messages[0].contant'],
  ['a wrong type', 'POST', '/chat', '{"messages":"hi"}', 400, 'WRONG_TYPE', 'messages'],
  ['a string for a number', 'POST', '/chat', '{"messages":[{"role":"user","content":"x"}],"temperature":"hot"}', 400, 'WRONG_TYPE', 'temperature'],
  ['a number for a string', 'POST', '/chat', '{"messages":[{"role":"user","content":7}]}', 400, 'WRONG_TYPE', 'messages[0].content'],
  ['empty messages', 'POST', '/chat', '{"messages":[]}', 400, 'MESSAGES_EMPTY', 'messages'],
  ['an empty body', 'POST', '/chat', '', 400, 'MESSAGES_EMPTY', 'messages'],
  ['invalid UTF-8', 'POST', '/chat', Buffer.concat([Buffer.from('{"messages":[{"role":"user","content":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}]}')]), 400, 'INVALID_UTF8', undefined],
  ['a deep nest', 'POST', '/process', `{"params":${'{"a":'.repeat(200)}1${'}'.repeat(200)}}`, 400, 'MALFORMED_JSON', undefined],
  ['top_k 10^9', 'POST', '/chat', '{"messages":[{"role":"user","content":"x"}],"retrieval":{"top_k":1000000000}}', 400, 'TOP_K_OUT_OF_RANGE', 'retrieval.top_k'],
  ['top_k beyond int32', 'POST', '/chat', '{"messages":[{"role":"user","content":"x"}],"retrieval":{"top_k":1e12}}', 400, undefined, 'retrieval.top_k'],
  ['an unknown path', 'GET', '/chatt', undefined, 404, 'ROUTE_NOT_FOUND', ''],
  ['an empty document', 'POST', '/v1/documents', '{"documents":[{"title":"x","text":""}]}', 400, 'FIELD_REQUIRED', 'documents[0].text'],
  ['no documents', 'POST', '/v1/documents', '{}', 400, 'FIELD_REQUIRED', 'documents'],
  ['a bad collection', 'POST', '/v1/documents', '{"collection":"../etc","documents":[{"text":"x"}]}', 400, 'FIELD_INVALID', 'collection'],
  ['a bad document id', 'POST', '/v1/documents', '{"documents":[{"id":"a/b","text":"x"}]}', 400, 'FIELD_INVALID', 'documents[0].id'],
]) {
  test(`${what} is refused`, async () => {
    const answer = await stack.json(method, target, body);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    const { error } = answer.body;
    if (reason) assert.equal(error.reason, reason);
    if (field !== undefined) assert.equal(error.field, field);
    assert.ok(error.message.length > 5);
    assert.equal(error.request_id, answer.headers.get('x-request-id'));
    await stillServes();
  });
}

test('a 20 MB body is refused with 413', async () => {
  const answer = await stack.json('POST', '/chat', JSON.stringify(ask('x'.repeat(20 * 1024 * 1024)))).catch((error) => error);
  if (answer instanceof Error) throw answer;
  assert.equal(answer.status, 413);
  assert.equal(answer.body.error.reason, 'REQUEST_TOO_LARGE');
  await stillServes();
});

test('a wrong method is 405 with Allow', async () => {
  for (const [method, target, allow] of [['GET', '/chat', 'POST'], ['DELETE', '/retrieve', 'GET'], ['POST', '/v1/models', 'GET']]) {
    const answer = await stack.json(method, target);
    assert.equal(answer.status, 405);
    // On a path that an SDK uses, an error is in its shape.
    assert.equal(answer.body.error.reason ?? answer.body.error.code.toUpperCase(), 'METHOD_NOT_ALLOWED');
    assert.ok(answer.headers.get('allow').includes(allow), answer.headers.get('allow'));
  }
});

test('another content type is 415', async () => {
  const answer = await stack.json('POST', '/chat', '<chat/>', { 'content-type': 'text/xml' });
  assert.equal(answer.status, 415);
  assert.equal(answer.body.error.reason, 'UNSUPPORTED_MEDIA_TYPE');
});

// Sends bytes as they are; gives back everything until the server closes (or `until` matches).
async function raw(bytes, until = null) {
  const socket = net.connect(stack.gatewayPort, '127.0.0.1');
  let received = '';
  socket.on('error', () => {});
  socket.on('data', (data) => { received += data; if (until && until.test(received)) socket.end(); });
  socket.write(bytes);
  await once(socket, 'close');
  return received;
}

test('a page of another site is refused', async () => {
  const answer = await raw(`POST /chat HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\n{"prompt":"x"}`);
  assert.match(answer, /^HTTP\/1\.1 403 /);
  assert.match(answer, /CROSS_ORIGIN_REFUSED/);
});

test('two Content-Lengths are refused', async () => {
  const answer = await raw('POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 30\r\n\r\n{}');
  assert.match(answer, /^HTTP\/1\.1 400 /);
  assert.match(answer, /"reason":/);
  await stillServes();
});

test('Content-Length beside chunked is refused', async () => {
  assert.match(await raw('POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'), /^HTTP\/1\.1 400 /);
});

test('a 100 MB header is refused', async () => {
  const socket = net.connect(stack.gatewayPort, '127.0.0.1');
  let received = '';
  socket.on('error', () => {});
  socket.on('data', (data) => (received += data));
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.write('GET /health HTTP/1.1\r\nHost: x\r\nX-Big: ');
  // Until it is answered, as an honest client would; the answer comes long before the end.
  const piece = Buffer.alloc(64 * 1024, 'a');
  for (let sent = 0; sent < 100 * 1024 * 1024 && !received && !socket.destroyed; sent += piece.length) {
    socket.write(piece);
    await new Promise(setImmediate);  // a turn of the event loop, in which the answer can be read
  }
  socket.end();
  await closed;
  assert.match(received, /^HTTP\/1\.1 431 /);
  await stillServes();
});

test('a gzip bomb is refused', async () => {
  const bomb = zlib.gzipSync(Buffer.alloc(200 * 1024 * 1024, ' '), { level: 9 });
  const answer = await stack.json('POST', '/chat', bomb, { 'content-encoding': 'gzip' });
  assert.equal(answer.status, 413);
  await stillServes();
});

test('an honest gzip body is read', async () => {
  const answer = await stack.json('POST', '/chat', zlib.gzipSync(JSON.stringify(ask('What is FastAPI?'))), { 'content-encoding': 'gzip' });
  assert.equal(answer.status, 200);
});

test('a slow drip is cut', async () => {
  const own = await Stack.start({ AIB_GATEWAY_READ_TIMEOUT_MS: '1000' });
  const socket = net.connect(own.gatewayPort, '127.0.0.1');
  let received = '';
  socket.on('error', () => {});
  socket.on('data', (data) => (received += data));
  socket.write('POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n');
  const drip = setInterval(() => socket.write(' '), 50);
  await once(socket, 'close');
  clearInterval(drip);
  assert.match(received, /^HTTP\/1\.1 408 /);
  await own.stop();
});

test('pipelined requests are answered in order', async () => {
  const one = (i) => {
    const body = JSON.stringify(ask('What is FastAPI?'));
    return `POST /chat HTTP/1.1\r\nHost: x\r\nX-Request-Id: pipe-${i}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
  const all = Array.from({ length: 12 }, (_, i) => (i % 3 === 2 ? `GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: pipe-${i}\r\n\r\n` : one(i)));
  const answer = await raw(all.join(''), /x-request-id: pipe-11[\s\S]*\}/i);
  const order = [...answer.matchAll(/^x-request-id: pipe-(\d+)/gim)].map((m) => Number(m[1]));
  assert.deepEqual(order, all.map((_, i) => i));
});

test('a thousand requests of noise leave it standing', async () => {
  let seed = 20241120;
  const random = (n) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n; };
  const words = ['GET ', 'POST ', '/chat', '/v1/jobs', ' HTTP/1.1\r\n', 'Host: x\r\n', 'Content-Length: ', '5', '-1', '\r\n', '\r\n\r\n', '{"', '\0', '\xff', 'Transfer-Encoding: chunked\r\n', 'ffffffffffffffff', '%', '%00'];
  for (let round = 0; round < 50; round++) {
    await Promise.all(Array.from({ length: 20 }, async () => {
      const bytes = Array.from({ length: random(30) }, () => words[random(words.length)]).join('');
      const socket = net.connect(stack.gatewayPort, '127.0.0.1');
      socket.on('error', () => {});
      socket.on('data', () => {});
      socket.end(Buffer.from(bytes, 'latin1'));
      await once(socket, 'close');
    }));
  }
  await stillServes();
});
