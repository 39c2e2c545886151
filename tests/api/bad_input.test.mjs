// Files and queries that are wrong, over every way in: each error says what and where, and what came with it is kept.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { corruptPdf, docx, docxBomb, executable, pdf, zip } from './files.mjs';
import { ask, detailsOf, Stack } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start({ AIB_WORDS_PER_SECOND: '0' })));
after(() => stack.stop());

// [source, bytes, null or [reason, what the message says]]
const files = [
  ['good.txt', Buffer.from('The wallaby ledger is kept in ink.'), null],
  ['corrupt.pdf', Buffer.from(corruptPdf), ['FIELD_INVALID', /PDF/]],
  ['cut.pdf', Buffer.from(pdf('A page that is cut off.').slice(0, 200)), ['FIELD_INVALID', /PDF/]],
  ['bomb.docx', docxBomb(), ['REQUEST_TOO_LARGE', /inflate|unpack|large|times/]],
  ['cut.docx', docx('cut off in the middle').subarray(0, 300), ['FIELD_INVALID', /.{10}/]],
  ['other.docx', zip({ 'readme.txt': 'a ZIP archive that is no DOCX' }), ['UNSUPPORTED_MEDIA_TYPE', /no DOCX/]],
  ['program.txt', executable, ['UNSUPPORTED_MEDIA_TYPE', /binary|text/]],
  ['picture.png', Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1'), ['UNSUPPORTED_MEDIA_TYPE', /.{10}/]],
  ['broken.json', Buffer.from('{"text": "no end'), ['FIELD_INVALID', /JSON/]],
  ['good.docx', docx('The potoroo account closes on Fridays.'), null],
];

const waysIn = {
  REST: async (collection) => {
    const documents = files.map(([source, bytes]) => ({ source, content: bytes.toString('base64') }));
    const { status, body } = await stack.json('POST', '/v1/documents', { collection, documents });
    assert.equal(status, 200, JSON.stringify(body));
    return body.documents;
  },
  multipart: async (collection) => {
    const form = new FormData();
    for (const [source, bytes] of files) form.append('file', new Blob([bytes]), source);
    form.append('collection', collection);
    const response = await stack.fetch('/v1/documents', { method: 'POST', body: form });
    assert.equal(response.status, 200);
    return (await response.json()).documents;
  },
  gRPC: (collection) =>
    new Promise((resolve, reject) => {
      const documents = files.map(([source, content]) => ({ source, content }));
      stack.grpc().AddDocuments({ collection, documents }, (error, response) => (error ? reject(error) : resolve(response.documents)));
    }),
  upload: (collection) =>
    new Promise((resolve, reject) => {
      const call = stack.grpc().UploadDocuments((error, response) => (error ? reject(error) : resolve(response.documents)));
      call.write({ collection });
      for (const [source, content] of files) {
        call.write({ document: { source } });
        for (let at = 0; at < content.length; at += 4096) call.write({ content: content.subarray(at, at + 4096) });
      }
      call.end();
    }),
};

for (const [name, send] of Object.entries(waysIn)) {
  test(`${name}: each file that can not be read says why, and the others are stored`, async () => {
    const documents = await send(`bad-${name}`);
    assert.equal(documents.length, files.length);
    documents.forEach(({ status, error }, i) => {
      const [source, , refused] = files[i];
      if (refused === null) return assert.equal(status, 'ADDED', source);
      assert.equal(status, 'FAILED', source);
      assert.equal(error.reason, refused[0], `${source}: ${error.message}`);
      assert.equal(error.field, `documents[${i}].content`, source);
      assert.match(error.message, refused[1], source);
    });
    const { body } = await stack.json('GET', `/v1/documents?collection=bad-${name}`);
    assert.equal(body.documents.length, files.filter(([, , refused]) => refused === null).length);
    const { body: found } = await stack.json('GET', `/v1/retrieve?query=potoroo+account&collection=bad-${name}&top_k=1`);
    assert.match(found.documents[0], /closes on Fridays/);
  });
}

test('a batch of nothing but unreadable files is an error over REST, and rows in an upload', async () => {
  const content = Buffer.from(corruptPdf);
  const { status, body } = await stack.json('POST', '/v1/documents', { documents: [{ source: 'x.pdf', content: content.toString('base64') }] });
  assert.equal(status, 400);
  assert.deepEqual([body.error.reason, body.error.field], ['FIELD_INVALID', 'documents[0].content']);
  const response = await new Promise((resolve, reject) => {
    const call = stack.grpc().UploadDocuments((error, answer) => (error ? reject(error) : resolve(answer)));
    call.write({ document: { source: 'x.pdf', content } });
    call.end();
  });
  assert.deepEqual(response.documents.map(({ status: each, error }) => [each, error.reason]), [['FAILED', 'FIELD_INVALID']]);
});

test('a document that is both text and file, or of bytes that are no text, is refused by name', async () => {
  const both = { text: 'a text', content: Buffer.from('and a file').toString('base64') };
  const { status, body } = await stack.json('POST', '/v1/documents', { documents: [both] });
  assert.deepEqual([status, body.error.reason, body.error.field], [400, 'FIELD_INVALID', 'documents[0].content']);
  const base64 = await stack.json('POST', '/v1/documents', { documents: [{ content: '***' }] });
  assert.deepEqual([base64.status, base64.body.error.field], [400, 'documents[0].content']);
});

test('a query of a megabyte is refused over REST and gRPC; a chat takes it, as a prompt may be that long', async () => {
  const query = 'wallaby '.repeat(131_072);
  const get = await stack.json('GET', `/v1/retrieve?${new URLSearchParams({ query })}`);
  assert.equal(get.status, 431);
  assert.deepEqual([get.body.error.reason, get.body.error.message.length > 10], ['HEADERS_TOO_LARGE', true]);

  const error = await new Promise((resolve) => stack.grpc().Retrieve({ query }, resolve));
  assert.equal(grpc.status[error.code], 'INVALID_ARGUMENT');
  assert.deepEqual(detailsOf(error.metadata), { reason: 'FIELD_OUT_OF_RANGE', field: 'query' });
  assert.match(error.details, /32/);

  const chat = await stack.json('POST', '/chat', ask(query));
  assert.deepEqual([chat.status, chat.body.outcome], [200, 'NO_CONTEXT']);
  assert.equal((await stack.json('GET', '/v1/retrieve?query=rate+limits')).status, 200);
});
