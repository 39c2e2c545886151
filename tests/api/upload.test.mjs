// UploadDocuments: documents in pieces over a client stream.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { corruptPdf, docx, docxBomb, pdf } from './files.mjs';
import { detailsOf, eventually, Stack } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start()));
after(() => stack.stop());

// The server behind a cable that can be cut: `cut` ends the connections of this client without a word. (What grpc-js calls
// cancel ends the stream first, as if all had been sent, and resets it later.)
async function cable() {
  const [host, port] = stack.target.split(':');
  const sockets = [];
  const proxy = net.createServer((near) => {
    const far = net.connect(Number(port), host);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.push(from);
      from.on('error', () => {});
      from.on('data', (data) => to.destroyed || to.write(data));
    }
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const client = new (stack.grpc().constructor)(`127.0.0.1:${proxy.address().port}`, grpc.credentials.createInsecure());
  const cut = () => {
    sockets.forEach((socket) => socket.destroy());
    client.close();
    proxy.close();
  };
  return { client, cut };
}

// A stream that is open; `answer` resolves to {documents} or {error: {code, reason, field, message}}.
function open(metadata = {}, client = stack.grpc()) {
  const headers = new grpc.Metadata();
  Object.entries(metadata).forEach(([key, value]) => headers.set(key, value));
  let call;
  const answer = new Promise((resolve) => {
    call = client.UploadDocuments(headers, (error, response) => {
      if (!error) return resolve(response);
      resolve({ error: { code: grpc.status[error.code], message: error.details, ...detailsOf(error.metadata) } });
    });
  });
  // Waits for room, as any sender of much should; a stream that the server ended takes no more.
  const write = async (message) => {
    if (!call.write(message)) await Promise.race([once(call, 'drain'), answer]);
  };
  return { call, write, answer };
}

async function upload(messages, metadata) {
  const { call, write, answer } = open(metadata);
  for (const message of messages) await write(message);
  call.end();
  return answer;
}

function* pieces(file, size = 64 << 10) {
  for (let at = 0; at < file.length; at += size) yield { content: file.subarray(at, at + size) };
}

const found = async (query, collection) =>
  (await stack.json('GET', `/v1/retrieve?${new URLSearchParams({ query, collection, top_k: 1 })}`)).body.matches[0];

const count = async (collection) =>
  Number((await stack.json('GET', `/v1/collections/${collection}`)).body.documents ?? 0);

const statuses = ({ documents }) => documents.map(({ status }) => status);

test('a file of 5 MB in pieces is one document, searchable when the answer arrives', async () => {
  const line = (i) => `Line ${i} of the long ledger of the lighthouse keeper.\n`;
  let text = '';
  for (let i = 0; text.length < 5_000_000; ++i) text += line(i);
  text += 'The axolotl clause is on the last page.\n';
  const { documents } = await upload([
    { collection: 'pieces', document: { id: 'ledger', source: 'ledger.txt' } },
    ...pieces(Buffer.from(text), 100_001),
  ]);
  assert.deepEqual(documents.map(({ id, status }) => [id, status]), [['ledger', 'ADDED']]);
  assert.ok(documents[0].chunks > 3000);
  const match = await found('axolotl clause', 'pieces');
  assert.match(match.text, /The axolotl clause is on the last page/);
  const { body: stored } = await stack.json('GET', '/v1/documents/ledger?collection=pieces');
  assert.equal(stored.text, text);
});

test('texts, first pieces and whole files stand beside each other in one stream, in order', async () => {
  const { documents } = await upload([
    { collection: 'mixture' },
    { document: { id: 'a', text: 'A text as it is.' } },
    { document: { id: 'b', source: 'b.txt', content: Buffer.from('First half, ') }, content: Buffer.from('second half, ') },
    { content: Buffer.from('and the rest.') },
    { document: { source: 'rows.csv', content: Buffer.from('id,text\nr1,One row.\nr2,Another row.\n') } },
    { document: { id: 'a', text: 'A text that replaces it.' } },
  ]);
  assert.deepEqual(documents.map(({ id, status }) => [id, status]),
    [['a', 'ADDED'], ['b', 'ADDED'], ['r1', 'ADDED'], ['r2', 'ADDED'], ['a', 'UPDATED']]);
  assert.equal((await stack.json('GET', '/v1/documents/b?collection=mixture')).body.text, 'First half, second half, and the rest.');
});

test('each file of a stream has a status of its own', async () => {
  const files = [
    ['good.pdf', pdf('The numbat protocol retries twice.')],
    ['good.docx', docx('The potoroo ledger closes on Fridays.')],
    ['corrupt.pdf', corruptPdf],
    ['bomb.docx', docxBomb()],
    ['empty.txt', ''],
    ['last.md', '# Quoll\n\nThe quoll index is rebuilt by hand.'],
  ];
  const messages = files.flatMap(([source, bytes]) => [{ document: { source } }, ...pieces(Buffer.from(bytes))]);
  const answer = await upload([{ collection: 'kinds' }, ...messages, { document: { id: 'no/slash', text: 'x' } }]);
  assert.deepEqual(statuses(answer), ['ADDED', 'ADDED', 'FAILED', 'FAILED', 'FAILED', 'ADDED', 'FAILED']);
  assert.deepEqual(answer.documents.filter(({ error }) => error).map(({ error }) => [error.reason, error.field]), [
    ['FIELD_INVALID', 'documents[2].content'],
    ['REQUEST_TOO_LARGE', 'documents[3].content'],
    ['FIELD_REQUIRED', 'documents[4].text'],
    ['FIELD_INVALID', 'documents[6].id'],
  ]);
  assert.equal(await count('kinds'), 3);
  assert.match((await found('potoroo ledger', 'kinds')).text, /closes on Fridays/);
});

test('a file beyond 32 MiB fails alone, however it comes', async () => {
  const megabyte = Buffer.alloc(1 << 20, 'x');
  const { call, write, answer } = open();
  await write({ collection: 'large', document: { source: 'large.txt' } });
  for (let i = 0; i < 40; ++i) await write({ content: megabyte });
  await write({ document: { id: 'after', text: 'What comes after it is stored.' } });
  call.end();
  const { documents } = await answer;
  assert.deepEqual(documents.map(({ status, error }) => [status, error?.reason, error?.field]), [
    ['FAILED', 'REQUEST_TOO_LARGE', 'documents[0].content'],
    ['ADDED', undefined, undefined],
  ]);
});

test('of a stream that breaks the whole documents stay, the half one does not, and a second try adds the rest', async () => {
  const document = (i) => ({ document: { id: `b${i}`, text: `Document number ${i} of the broken stream.` } });
  // It breaks within a group, at its end, and within the third.
  for (const whole of [3, 50, 120]) {
    const collection = `broken-${whole}`;
    const { client, cut } = await cable();
    const { write, answer } = open({ 'x-request-id': `req-${collection}` }, client);
    await write({ collection });
    for (let i = 0; i < whole; ++i) await write(document(i));
    await write({ document: { id: 'half', source: 'half.txt', content: Buffer.from('The first half of ') } });
    // Of a full group the server shows that it has come.
    if (whole >= 50) await eventually(async () => (await count(collection)) >= 50, 'the first group is stored');
    else await stack.ledgerRow((r) => r.request_id === `req-${collection}`);
    cut();
    assert.equal((await answer).error.code, 'UNAVAILABLE');
    const row = await stack.ledgerRow((r) => r.request_id === `req-${collection}` && r.status !== 'RUNNING');
    assert.deepEqual([row.endpoint, row.status], ['UploadDocuments', 'CANCELLED']);
    const stored = await count(collection);
    assert.ok(stored <= whole && stored >= Math.min(50, Math.floor(whole / 50) * 50), `${stored} of ${whole}`);
    assert.equal((await stack.json('GET', `/v1/documents/half?collection=${collection}`)).status, 404);

    const again = await upload([{ collection }, ...Array.from({ length: whole }, (_, i) => document(i))]);
    assert.equal(statuses(again).filter((status) => status === 'UNCHANGED').length, stored);
    assert.equal(statuses(again).filter((status) => status === 'ADDED').length, whole - stored);
  }
});

test('half a document is never taken for a whole one, whenever the client is lost', async () => {
  for (let i = 0; i < 40; ++i) {
    const { client, cut } = await cable();
    const { write, answer } = open({ 'x-request-id': `req-half-${i}` }, client);
    await write({ collection: 'halves', document: { id: `half-${i}`, source: 'half.txt', content: Buffer.from('Half') } });
    await stack.ledgerRow((r) => r.request_id === `req-half-${i}`);
    if (i % 2) await write({ content: Buffer.alloc(i << 12, 'x') });
    cut();
    assert.equal((await answer).error.code, 'UNAVAILABLE');
    await stack.ledgerRow((r) => r.request_id === `req-half-${i}` && r.status === 'CANCELLED');
  }
  assert.equal((await stack.json('GET', '/v1/collections/halves')).status, 404);
});

test('10,000 documents are taken and one more is refused by the name of the limit', async () => {
  const document = (i) => ({ document: { id: `n${i}`, text: `Short note ${i}.` } });
  const answer = await upload([{ collection: 'many' }, ...Array.from({ length: 10_000 }, (_, i) => document(i))]);
  assert.equal(answer.documents.length, 10_000);
  assert.ok(answer.documents.every(({ id, status }, i) => id === `n${i}` && status === 'ADDED'));

  const { error } = await upload([{ collection: 'many' }, ...Array.from({ length: 12_000 }, (_, i) => document(i))]);
  assert.deepEqual([error.code, error.reason, error.field], ['INVALID_ARGUMENT', 'FIELD_OUT_OF_RANGE', 'document']);
  assert.match(error.message, /at most 10000 documents/);
  assert.equal(await count('many'), 10_000);
});

test('a stream that is not one of documents is refused', async () => {
  for (const [messages, reason, field] of [
    [[], 'FIELD_REQUIRED', 'document'],
    [[{ collection: 'x' }], 'FIELD_REQUIRED', 'document'],
    [[{ content: Buffer.from('lost') }], 'FIELD_REQUIRED', 'document'],
    [[{ collection: 'no/slash' }, { document: { text: 'x' } }], 'FIELD_INVALID', 'collection'],
    [[{ document: { text: 'x' } }, { collection: 'late' }], 'FIELD_INVALID', 'collection'],
  ]) {
    const { error } = await upload(messages);
    assert.deepEqual([error?.code, error?.reason, error?.field], ['INVALID_ARGUMENT', reason, field]);
  }
});

test('a deadline that passes ends the stream and keeps what is whole', async () => {
  const headers = new grpc.Metadata();
  const error = await new Promise((resolve) => {
    const call = stack.grpc().UploadDocuments(headers, { deadline: Date.now() + 5000 }, (failure) => resolve(failure));
    call.write({ collection: 'late', document: { id: 'whole', text: 'It is whole.' } });
    call.write({ document: { id: 'half', text: 'It never ends.' } });
  });
  assert.equal(grpc.status[error.code], 'DEADLINE_EXCEEDED');
  const row = await stack.ledgerRow((r) => r.endpoint === 'UploadDocuments' && r.error_reason === 'DEADLINE_EXCEEDED');
  assert.equal(row.status, 'CANCELLED');
  await eventually(async () => (await count('late')) === 1, 'the whole one');
  assert.equal((await stack.json('GET', '/v1/documents/half?collection=late')).status, 404);
});

test('who may not call may not upload', async () => {
  const guarded = await Stack.start({ AIB_ADMIN_KEY: 'a-key-of-the-tests' });
  try {
    const error = await new Promise((resolve) => {
      const call = guarded.grpc().UploadDocuments((failure) => resolve(failure));
      call.on('error', () => {});
      call.write({ document: { text: 'x' } });
      call.end();
    });
    assert.equal(grpc.status[error.code], 'UNAUTHENTICATED');
    assert.equal((await guarded.json('GET', '/v1/usage')).body.requests.filter((r) => r.endpoint === 'UploadDocuments').length, 0);
  } finally {
    await guarded.stop();
  }
});
