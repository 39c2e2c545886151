// Chat and ChatStream: one test body over gRPC and REST, equal answers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask, Stack, transports } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start({ AIB_WORDS_PER_SECOND: '400' })));
after(() => stack.stop());

// What may differ between two runs of one question.
const comparable = ({ id, response_time_ms, ...rest }) => rest;

for (const [name, transport] of Object.entries(transports)) {
  test(`${name}: a question the corpus answers gets a verbatim sentence with citations`, async () => {
    const answer = await transport.chat(stack, ask('What is FastAPI?', { temperature: 0.7 }));
    assert.match(answer.response, /FastAPI/);
    assert.equal(answer.outcome, 'ANSWERED');
    assert.equal(answer.finish_reason, 'stop');
    assert.equal(answer.model, 'extractive');
    assert.ok(answer.citations.length > 0);
    for (const citation of answer.citations) {
      const { body: document } = await stack.json('GET', `/v1/documents/${citation.document_id}`);
      const stored = Buffer.from(document.text).subarray(citation.start, citation.end).toString();
      assert.equal(citation.text, stored);
      assert.ok(answer.response.includes(citation.text));
    }
    assert.ok(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  test(`${name}: a question the corpus can't answer gets NO_CONTEXT and no citation`, async () => {
    const answer = await transport.chat(stack, ask('Who won the 1987 Tour de France bicycle race?'));
    assert.equal(answer.outcome, 'NO_CONTEXT');
    assert.deepEqual(answer.citations, []);
    assert.match(answer.response, /no context/i);
  });

  test(`${name}: the stream's deltas are the whole answer`, async () => {
    const whole = await transport.chat(stack, ask('What is FastAPI?'));
    const { deltas, done } = await transport.stream(stack, ask('What is FastAPI?'));
    assert.ok(deltas.length > 3, `${deltas.length} pieces`);
    assert.equal(deltas.join(''), whole.response);
    assert.ok(!('response' in done) || done.response === '' || done.response === undefined);
    assert.deepEqual(done.citations, whole.citations);
    assert.deepEqual(done.usage, whole.usage);
    assert.equal(done.finish_reason, 'stop');
  });

  test(`${name}: Japanese is answered in Japanese`, async () => {
    const answer = await transport.chat(stack, ask('FastAPIとは何ですか'));
    assert.equal(answer.outcome, 'ANSWERED');
    assert.match(answer.response, /[ぁ-んァ-ン一-龯]/);
  });

  for (const [what, request, code, reason, field] of [
    ['no messages', {}, 'INVALID_ARGUMENT', 'MESSAGES_EMPTY', 'messages'],
    ['an unknown role', { messages: [{ role: 'robot', content: 'x' }] }, 'INVALID_ARGUMENT', 'ROLE_UNKNOWN', 'messages[0].role'],
    ['temperature 3', ask('x', { temperature: 3 }), 'INVALID_ARGUMENT', 'TEMPERATURE_OUT_OF_RANGE', 'temperature'],
    ['temperature -0.1', ask('x', { temperature: -0.1 }), 'INVALID_ARGUMENT', 'TEMPERATURE_OUT_OF_RANGE', 'temperature'],
    ['top_k 0', ask('x', { retrieval: { top_k: 0 } }), 'INVALID_ARGUMENT', 'TOP_K_OUT_OF_RANGE', 'retrieval.top_k'],
    ['max_tokens 0', ask('x', { max_tokens: 0 }), 'INVALID_ARGUMENT', 'FIELD_OUT_OF_RANGE', 'max_tokens'],
    ['an empty question', ask('  '), 'INVALID_ARGUMENT', 'FIELD_REQUIRED', 'messages[0].content'],
    ['an unknown model', ask('x', { model: 'gpt-nope' }), 'NOT_FOUND', 'MODEL_NOT_FOUND', 'model'],
    ['an answer as the last message', { messages: [{ role: 'assistant', content: 'x' }] }, 'INVALID_ARGUMENT', 'FIELD_INVALID', 'messages[0].role'],
    ['prompt beside messages', ask('x', { prompt: 'y' }), 'INVALID_ARGUMENT', 'FIELD_INVALID', 'prompt'],
  ]) {
    for (const method of ['chat', 'stream']) {
      test(`${name} ${method}: ${what} is refused by name`, async () => {
        await assert.rejects(transport[method](stack, request), (error) => {
          assert.deepEqual({ code: error.code, reason: error.reason, field: error.field }, { code, reason, field });
          return true;
        });
      });
    }
  }

  test(`${name}: a refused request has its ledger row`, async () => {
    const prompt = `refused over ${name}`;
    await assert.rejects(transport.chat(stack, ask(prompt, { temperature: 9 })));
    const row = await stack.ledgerRow((r) => r.prompt === prompt && r.status !== 'RUNNING');
    assert.equal(row.status, 'ERROR');
    assert.equal(row.error_reason, 'TEMPERATURE_OUT_OF_RANGE');
  });
}

test('gRPC and REST give equal answers', async () => {
  for (const question of ['What is FastAPI?', 'How do idempotency keys work?', 'Who won the 1987 Tour de France bicycle race?']) {
    const [viaGrpc, viaRest] = [
      await transports.grpc.chat(stack, ask(question)),
      await transports.rest.chat(stack, ask(question)),
    ];
    // The loader's own: which of the optional fields are there.
    for (const name of Object.keys(viaGrpc).filter((key) => key.startsWith('_'))) delete viaGrpc[name];
    assert.deepEqual(comparable(viaGrpc), comparable(viaRest));
    const [g, r] = [
      await transports.grpc.stream(stack, ask(question)),
      await transports.rest.stream(stack, ask(question)),
    ];
    assert.equal(g.deltas.join(''), r.deltas.join(''));
  }
});

test('the request id goes in, comes back, and stands in the ledger', async () => {
  const { headers, body } = await stack.json('POST', '/chat', ask('What is gRPC?'), { 'x-request-id': 'mine-1' });
  assert.equal(headers.get('x-request-id'), 'mine-1');
  assert.equal(body.id, 'mine-1');
  const row = await stack.ledgerRow((r) => r.request_id === 'mine-1' && r.status === 'OK');
  assert.equal(row.endpoint, 'Chat');
  assert.equal(row.prompt, 'What is gRPC?');
  assert.equal(row.response, body.response);
  assert.equal(row.total_tokens, body.usage.total_tokens);
});

test('one ledger row a request, whole and streamed', async () => {
  const count = async () => {
    let rows = 0, token = '';
    do {
      const { body } = await stack.json('GET', `/v1/usage?page_size=7${token && `&page_token=${encodeURIComponent(token)}`}`);
      rows += body.requests.length;
      token = body.next_page_token;
    } while (token);
    return rows;
  };
  const first = await count();
  await Promise.all(
    Array.from({ length: 40 }, (_, i) => {
      const transport = i % 2 ? transports.grpc : transports.rest;
      return i % 4 < 2 ? transport.chat(stack, ask(`What is gRPC? ${i}`)) : transport.stream(stack, ask(`What is gRPC? ${i}`));
    }),
  );
  await stack.ledgerRow((r) => r.prompt === 'What is gRPC? 39' && r.status === 'OK');
  assert.equal((await count()) - first, 40);
});

test('the names that newcomers know answer too', async () => {
  for (const target of ['/chat', '/ai/test', '/v1/chat']) {
    const { status, body } = await stack.json('POST', target, ask('What is FastAPI?'));
    assert.equal(status, 200, target);
    assert.match(body.response, /FastAPI/);
  }
  const { body } = await stack.json('GET', '/generate?prompt=What+is+FastAPI%3F');
  assert.match(body.response, /FastAPI/);
  const stream = await stack.fetch('/ai/stream', { method: 'POST', body: JSON.stringify(ask('What is FastAPI?')), headers: { accept: 'text/plain', 'content-type': 'application/json' } });
  assert.match(stream.headers.get('content-type'), /^text\/plain/);
  assert.match(await stream.text(), /FastAPI/);
  const { body: models } = await stack.json('GET', '/v1/models');
  assert.equal(models.models[0].id, 'extractive');
  assert.ok(models.models[0].ignored_parameters.length > 0);
});
