// One trace through both processes to the model server, as a collector and the model server see it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OtlpReceiver } from '../fakes/otlp_receiver/otlp_receiver.mjs';
import { FakeUpstream, modelsToml } from './fake_upstream.mjs';
import { ask, eventually, Stack } from './stack.mjs';

const chat = (more = {}) => ask('hello there', { model: 'm', retrieval: { enabled: false }, ...more });
let collector, upstream, stack;
before(async () => {
  [collector, upstream] = await Promise.all([OtlpReceiver.start(), FakeUpstream.start()]);
  stack = await Stack.start(
    { AIB_OTLP_ENDPOINT: collector.endpoint, AIB_TRACE_SAMPLE: '0', AIB_UPSTREAM_RETRY_BASE_MS: '1' },
    modelsToml({
      m: { provider: 'openai', base_url: `${upstream.url}/v1`, upstream_model: 'imposter' },
      vectors: { kind: 'embedding', base_url: `${upstream.url}/v1`, upstream_model: 'imposter-vectors' },
    }),
  );
});
after(async () => {
  await stack.stop();
  upstream.stop();
  collector.stop();
});

// The spans of a trace, once there are so many.
const spansOf = (traceId, count) =>
  eventually(() => {
    const spans = collector.spans.filter((span) => span.traceId === traceId);
    return spans.length >= count && spans;
  }, () => `${count} spans: ${JSON.stringify(collector.spans)}`, 10_000);
const one = (spans, condition) => {
  const found = spans.filter(condition);
  assert.equal(found.length, 1, JSON.stringify(spans));
  return found[0];
};

test('a chat is a span of the gateway, one of the server and one of each call of the model server', async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  await upstream.control({ next: [{ fault: 'http-503' }] });
  const { status } = await stack.json('POST', '/v1/chat', chat(), {
    traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
    'x-request-id': 'traced-1',
  });
  assert.equal(status, 200);
  const spans = await spansOf(traceId, 4);
  assert.equal(spans.length, 4);

  const gateway = one(spans, ({ service }) => service === 'aibackend-gateway');
  assert.equal(gateway.name, 'POST /v1/chat');
  assert.equal(gateway.kind, 'SERVER');
  assert.equal(gateway.parentSpanId, '00f067aa0ba902b7');
  assert.equal(gateway.attributes['http.route'], '/v1/chat');
  assert.equal(gateway.attributes['http.response.status_code'], '200');
  assert.equal(gateway.attributes['aibackend.request_id'], 'traced-1');

  const server = one(spans, ({ service, kind }) => service === 'aibackend-server' && kind === 'SERVER');
  assert.equal(server.parentSpanId, gateway.spanId);
  assert.equal(server.attributes['rpc.system'], 'grpc');
  assert.equal(server.attributes['rpc.method'], 'Chat');
  assert.equal(server.attributes['aibackend.request_id'], 'traced-1');

  const calls = spans.filter(({ kind }) => kind === 'CLIENT');
  assert.deepEqual(calls.map(({ parentSpanId }) => parentSpanId), [server.spanId, server.spanId]);
  const failed = one(calls, ({ status: code }) => code === 'ERROR');
  assert.equal(failed.attributes['error.type'], 'UPSTREAM_UNAVAILABLE');
  const answered = one(calls, ({ status: code }) => code !== 'ERROR');
  assert.match(answered.name, /^chat /);
  assert.equal(answered.attributes['gen_ai.operation.name'], 'chat');
  assert.equal(answered.attributes['gen_ai.provider.name'], 'openai');
  assert.ok(Number(answered.attributes['gen_ai.usage.input_tokens']) > 0);
  assert.ok(Number(answered.attributes['gen_ai.usage.output_tokens']) > 0);
  assert.deepEqual(answered.attributes['gen_ai.response.finish_reasons'], ['stop']);

  // The model server is told the span of the call it answers.
  const told = (await upstream.requests()).map(({ headers }) => headers.traceparent);
  assert.deepEqual(told.sort(), calls.map(({ spanId }) => `00-${traceId}-${spanId}-01`).sort());
  // Nothing of what was asked or answered stands in a span.
  assert.doesNotMatch(JSON.stringify(spans), /hello/);
});

test('a trace that its caller does not sample goes on to the model server, unrecorded', async () => {
  await upstream.reset();
  const traceId = 'aaaabbbbccccddddeeeeffff00001111';
  const { status } = await stack.json('POST', '/v1/chat', chat(), { traceparent: `00-${traceId}-00f067aa0ba902b7-00` });
  assert.equal(status, 200);
  const { headers } = await upstream.lastRequest();
  assert.match(headers.traceparent, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  assert.notEqual(headers.traceparent.slice(36, 52), '00f067aa0ba902b7');
  assert.equal(collector.spans.filter((span) => span.traceId === traceId).length, 0);
});

test('a traceparent that is none begins a trace, of which the share decides', async () => {
  await upstream.reset();
  const { status } = await stack.json('POST', '/v1/chat', chat(), { traceparent: '00-00000000000000000000000000000000-00f067aa0ba902b7-01' });
  assert.equal(status, 200);
  const { headers } = await upstream.lastRequest();
  assert.match(headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[02]$/);
  assert.doesNotMatch(headers.traceparent, /^00-0{32}/);
});

test('the embedding of a question is a part of its chat, under the name that the model server knows', async () => {
  await upstream.reset();
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const { status } = await stack.json('POST', '/v1/chat', chat({ cache: { mode: 'semantic' } }), { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
  assert.equal(status, 200);
  const spans = await spansOf(traceId, 4);
  const server = one(spans, ({ service, kind }) => service === 'aibackend-server' && kind === 'SERVER');
  const embedding = one(spans, ({ attributes }) => attributes['gen_ai.operation.name'] === 'embeddings');
  assert.equal(embedding.parentSpanId, server.spanId);
  assert.equal(embedding.name, 'embeddings imposter-vectors');
  assert.equal(embedding.attributes['gen_ai.request.model'], 'imposter-vectors');
});

test('the lines of the log name the trace', async () => {
  const traceId = 'c0ffee1916cd43dd8448eb211c80319c';
  await stack.json('POST', '/v1/chat', chat(), { traceparent: `00-${traceId}-00f067aa0ba902b7-00` });
  const lines = await eventually(() => {
    const found = stack.server.log.split('\n').filter((line) => line.includes(`trace_id=${traceId}`));
    return found.length >= 2 && found;
  }, () => stack.server.log.slice(-2000), 10_000);
  assert.equal(lines.length, 2, 'of the start and of the end');
});
