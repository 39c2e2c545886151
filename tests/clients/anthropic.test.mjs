// The unmodified SDK of Anthropic against the real binaries: what an application has that changes nothing but its base URL.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema';
import { adminKey, checkCitations, collect, person, png, somePerson, startSdkStack, unanswerable, weather, weatherArguments } from './sdk_stack.mjs';

let stack, upstream, sdk, client;
before(async () => {
  sdk = await startSdkStack();
  ({ stack, upstream } = sdk);
  client = new Anthropic({ baseURL: stack.url, apiKey: adminKey, maxRetries: 0 });
});
after(() => sdk?.stop());
beforeEach(() => upstream.reset());

const user = (content) => ({ role: 'user', content });
const hello = { model: 'claude', max_tokens: 100, messages: [user('hello there')] };
const create = (body, options) => client.messages.create({ ...hello, ...body }, options);
const stream = (body, options) => client.messages.stream({ ...hello, ...body }, options);
const tool = { name: 'get_weather', description: 'Looks outside.', input_schema: weather };
const textOf = ({ content }) => content.filter(({ type }) => type === 'text').map(({ text }) => text).join('');

// A raw stream's events.
const events = async (body) => collect(await create({ ...body, stream: true }));

test('a message answers whole, with the model\'s own usage and the request\'s id', async () => {
  const { data, request_id } = await client.messages.create({ ...hello, system: 'be brief' }).withResponse();
  assert.equal(data.type, 'message');
  assert.equal(data.role, 'assistant');
  assert.equal(data.model, 'claude');
  assert.equal(textOf(data), 'You said: hello there');
  assert.equal(data.stop_reason, 'end_turn');
  assert.equal(data.usage.input_tokens, 4);
  assert.equal(data.usage.output_tokens, 4);
  const row = await stack.ledgerRow((found) => found.request_id === request_id && found.status !== 'RUNNING');
  assert.deepEqual([row.status, row.model, row.prompt_tokens, row.completion_tokens], ['OK', 'claude', 4, 4]);
  const { body, headers } = await upstream.lastRequest();
  assert.equal(body.model, 'claude-upstream');
  assert.equal(headers['x-api-key'], 'sk-ant-of-the-operator', 'the caller\'s key stays here');
});

test('a message streams the same, in the events of their API', async () => {
  const { items, failure } = await events({});
  assert.ifError(failure);
  assert.deepEqual([items[0].type, items[1].type], ['message_start', 'content_block_start']);
  assert.deepEqual(items.slice(-3).map(({ type }) => type), ['content_block_stop', 'message_delta', 'message_stop']);
  assert.ok(items.filter(({ type }) => type === 'content_block_delta').length > 1);
  const final = await stream({}).finalMessage();
  assert.equal(textOf(final), 'You said: hello there');
  assert.equal(final.stop_reason, 'end_turn');
  assert.equal(final.usage.input_tokens, 2);
  assert.equal(final.usage.output_tokens, 4);
});

test('max_tokens, stop sequences, thinking and cached tokens arrive as Anthropic\'s own would', async () => {
  const short = await create({ max_tokens: 2 });
  assert.equal(short.stop_reason, 'max_tokens');
  assert.equal(textOf(short), 'You said:');
  const stop_sequences = ['there'];
  for (const call of [() => create({ stop_sequences }), () => stream({ stop_sequences }).finalMessage()]) {
    const stopped = await call();
    assert.equal(stopped.stop_reason, 'stop_sequence');
    assert.equal(stopped.stop_sequence, 'there');
    assert.equal(textOf(stopped).trim(), 'You said: hello');
  }
  await upstream.control({ reasoning: 'let me think', cachedTokens: 1 });
  for (const call of [() => create({}), () => stream({}).finalMessage()]) {
    const thought = await call();
    assert.deepEqual(thought.content.map(({ type }) => type), ['thinking', 'text']);
    assert.equal(thought.content[0].thinking, 'let me think');
    assert.equal(thought.usage.cache_read_input_tokens, 1);
    assert.equal(thought.usage.input_tokens, 1);
  }
});

// `model` is behind Anthropic's API or OpenAI's: the application can't tell.
for (const model of ['claude', 'gpt']) {
  describe(`tools with ${model}`, () => {
    const messages = [user('please use the tool')];

    test('a round trip: call, run, answer', async () => {
      const called = await create({ model, messages, tools: [tool] });
      assert.equal(called.stop_reason, 'tool_use');
      const [call] = called.content.filter(({ type }) => type === 'tool_use');
      assert.equal(call.name, 'get_weather');
      assert.deepEqual(call.input, weatherArguments);
      const answer = { type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: '21 degrees' }] };
      const turn = [...messages, { role: 'assistant', content: called.content }, user([answer])];
      const said = await create({ model, messages: turn, tools: [tool] });
      assert.equal(textOf(said), 'The tool said: 21 degrees');
      assert.equal(said.stop_reason, 'end_turn');
    });

    test('the SDK accumulates streamed calls, two at once', async () => {
      await upstream.control({ toolCall: true, toolCalls: 2, toolPieceBytes: 3 });
      const final = await stream({ model, messages, tools: [tool] }).finalMessage();
      const calls = final.content.filter(({ type }) => type === 'tool_use');
      assert.equal(final.stop_reason, 'tool_use');
      assert.deepEqual(calls.map(({ name, input }) => [name, input]), [['get_weather', weatherArguments], ['get_weather', weatherArguments]]);
      assert.notEqual(calls[0].id, calls[1].id);
    });

    test('tool_choice names the tool, or forbids them', async () => {
      const other = { name: 'other', input_schema: weather };
      const forced = await create({ model, tools: [other, tool], tool_choice: { type: 'tool', name: 'get_weather' } });
      assert.deepEqual(forced.content.filter(({ type }) => type === 'tool_use').map(({ name }) => name), ['get_weather']);
      const any = await create({ model, tools: [tool], tool_choice: { type: 'any' } });
      assert.equal(any.stop_reason, 'tool_use');
      const none = await create({ model, messages, tools: [tool], tool_choice: { type: 'none' } });
      assert.deepEqual(none.content.map(({ type }) => type), ['text']);
    });

    test('a stream that is cut in a tool\'s arguments is an error', async () => {
      await upstream.control({ toolCall: true, fault: 'tool-cut' });
      const { items, failure } = await events({ model, messages, tools: [tool] });
      assert.ok(failure instanceof Anthropic.APIError, String(failure));
      assert.ok(!items.some(({ type }) => type === 'message_stop'));
    });
  });
}

const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } };

test('an image reaches the upstream unchanged', async () => {
  const answer = await create({ messages: [user([image, { type: 'text', text: 'look here' }])] });
  assert.equal(textOf(answer), 'I see 1 image(s). You said: look here');
  const { messages } = (await upstream.lastRequest()).body;
  assert.deepEqual(messages[0].content.find(({ type }) => type === 'image').source, image.source);
});

test('an image reaches OpenAI\'s upstream as a data: URL', async () => {
  const linked = { type: 'image', source: { type: 'url', url: 'https://pictures.example/a.png' } };
  const answer = await create({ model: 'gpt', messages: [user([image, linked, { type: 'text', text: 'look here' }])] });
  assert.equal(textOf(answer), 'I see 2 image(s). You said: look here');
  const { messages } = (await upstream.lastRequest()).body;
  const urls = messages[0].content.filter(({ type }) => type === 'image_url').map(({ image_url }) => image_url.url);
  assert.deepEqual(urls, [`data:image/png;base64,${png}`, 'https://pictures.example/a.png']);
});

for (const model of ['claude', 'gpt']) {
  test(`structured output is parsed by the SDK (${model})`, async () => {
    const output_config = { format: jsonSchemaOutputFormat(person) };
    const whole = await client.messages.parse({ ...hello, model, output_config });
    assert.deepEqual(whole.parsed_output, somePerson);
    const streamed = await stream({ model, output_config }).finalMessage();
    assert.deepEqual(streamed.parsed_output, somePerson);
  });
}

test('parameters that only the upstream knows arrive there untouched', async () => {
  const extra = { top_k: 40, service_tier: 'auto', container: { nested: [1, 2.5, null] } };
  await create({ ...extra, temperature: 0.5, top_p: 0.9 });
  const { body } = await upstream.lastRequest();
  for (const [key, value] of Object.entries({ ...extra, temperature: 0.5, top_p: 0.9 })) assert.deepEqual(body[key], value, key);
});

test('tokens are counted without a call and without a ledger row', async () => {
  const short = await client.messages.countTokens({ model: 'claude', messages: [user('hello')] });
  const long = await client.messages.countTokens({ model: 'claude', system: 'be very brief', messages: [user('hello '.repeat(200))] });
  assert.ok(short.input_tokens > 0);
  assert.ok(long.input_tokens > short.input_tokens + 100);
  assert.equal((await upstream.requests()).length, 0);
});

test('models are listed and looked up by name', async () => {
  const names = [];
  for await (const { id, type } of client.models.list()) names.push(id) && assert.equal(type, 'model');
  for (const name of ['gpt', 'fast', 'claude']) assert.ok(names.includes(name), `${name} in ${names}`);
  assert.equal((await client.models.retrieve('claude')).id, 'claude');
  await assert.rejects(client.models.retrieve('nope'), Anthropic.NotFoundError);
});

describe('errors are the SDK\'s own', () => {
  test('400 BadRequestError names the field', async () => {
    await assert.rejects(create({ temperature: 9 }), (error) => {
      assert.ok(error instanceof Anthropic.BadRequestError, String(error));
      assert.equal(error.error.error.type, 'invalid_request_error');
      assert.match(error.message, /temperature/);
      return true;
    });
    await assert.rejects(create({ messages: [] }), Anthropic.BadRequestError);
    await assert.rejects(create({ max_tokens: undefined }), (error) => error instanceof Anthropic.BadRequestError && /max_tokens/.test(error.message));
  });

  test('401 AuthenticationError: a wrong key, and none of it is told', async () => {
    const stranger = new Anthropic({ baseURL: stack.url, apiKey: 'sk-of-a-stranger', maxRetries: 0 });
    for (const call of [
      () => stranger.messages.create(hello),
      () => stranger.messages.create({ ...hello, stream: true }),
      () => stranger.messages.countTokens({ model: 'claude', messages: hello.messages }),
    ]) {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof Anthropic.AuthenticationError, String(error));
        assert.equal(error.error.error.type, 'authentication_error');
        assert.ok(!error.message.includes('stranger') && !error.message.includes(adminKey));
        return true;
      });
    }
    assert.equal((await upstream.requests()).length, 0);
  });

  test('404 NotFoundError: an unknown model, with the known ones', async () => {
    await assert.rejects(create({ model: 'nope' }), (error) => {
      assert.ok(error instanceof Anthropic.NotFoundError, String(error));
      assert.equal(error.error.error.type, 'not_found_error');
      for (const name of ['nope', 'gpt', 'claude']) assert.match(error.message, new RegExp(name));
      return true;
    });
  });

  test('429 RateLimitError, with the upstream\'s Retry-After', async () => {
    await upstream.control({ fault: 'rate-limit', retryAfter: '7' });
    await assert.rejects(create({}), (error) => {
      assert.ok(error instanceof Anthropic.RateLimitError, String(error));
      assert.equal(error.headers.get('retry-after'), '7');
      return true;
    });
  });

  test('500 and more InternalServerError, whatever the upstream did', async () => {
    for (const fault of ['http-529', 'http-500', 'html', 'reset-before-headers', 'http-401']) {
      await upstream.control({ fault });
      for (const streamed of [false, true]) {
        await assert.rejects(create({ stream: streamed }), (error) => {
          assert.ok(error instanceof Anthropic.InternalServerError, `${fault}: ${error}`);
          assert.ok(!JSON.stringify([error.message, error]).includes('of-the-operator'), 'the key leaked');
          return true;
        });
      }
    }
  });

  test('a stream that breaks midway throws after what it had', async () => {
    for (const fault of ['cut-mid-stream', 'end-mid-stream', 'error-mid-stream']) {
      await upstream.control({ fault });
      const { items, failure } = await events({});
      assert.ok(failure instanceof Anthropic.APIError, `${fault}: ${failure}`);
      assert.equal(items.map(({ delta }) => delta?.text ?? '').join(''), 'You said: hello');
      assert.ok(!items.some(({ type }) => type === 'message_delta' || type === 'message_stop'), 'it looked finished');
    }
  });
});

test('an application that aborts its stream closes the upstream\'s connection', async () => {
  for (const model of ['claude', 'gpt']) {
    await upstream.control({ tokens: 2000, tokenDelayMs: 5 });
    const messages = [user(`a long story with ${model}`)];
    const running = await create({ model, max_tokens: 4000, messages, stream: true });
    let events = 0;
    for await (const _ of running) if (++events === 6) running.controller.abort();
    const entry = await upstream.request(({ body, ended }) => body?.stream && ended === 'client_gone', `${model}: the upstream sees the client leave`);
    assert.ok(entry.tokens_sent < 2000);
    const row = await stack.ledgerRow(({ prompt, status }) => prompt === messages[0].content && status !== 'RUNNING');
    assert.equal(row.status, 'CANCELLED');
    await upstream.reset();
  }
});

test('in front of OpenAI\'s upstream: whole, streamed, with a system text and both usages', async () => {
  const whole = await create({ model: 'gpt', system: 'be brief' });
  assert.equal(textOf(whole), 'You said: hello there');
  assert.deepEqual([whole.usage.input_tokens, whole.usage.output_tokens], [4, 4]);
  const { body, path } = await upstream.lastRequest();
  assert.equal(path, '/v1/chat/completions');
  assert.equal(body.messages[0].role, 'system');
  const final = await stream({ model: 'gpt' }).finalMessage();
  assert.equal(textOf(final), 'You said: hello there');
  assert.equal(final.stop_reason, 'end_turn');
  assert.equal(final.usage.output_tokens, 4);
});

describe('answers from documents', () => {
  test('are not given unasked', async () => {
    await create({ messages: [user('What is FastAPI?')] });
    assert.equal((await upstream.lastRequest()).body.system, undefined);
  });

  test('by the model\'s name: the passages reach the upstream, its citations come back', async () => {
    await upstream.control({ answer: 'FastAPI is a framework [1].' });
    const answer = await create({ model: 'docs/claude', messages: [user('What is FastAPI?')] });
    assert.match(JSON.stringify((await upstream.lastRequest()).body.system), /Python web framework/);
    assert.equal(answer.citations.length, 1);
    await checkCitations(stack, answer.citations);
    const { items } = await events({ model: 'docs/claude', messages: [user('What is FastAPI?')] });
    assert.deepEqual(items.find(({ type }) => type === 'message_delta').citations, answer.citations);
  });

  test('by a header, strict: no evidence, no call and no invention', async () => {
    const headers = { 'x-aibackend-retrieval': 'strict' };
    const none = await create({ messages: [user(unanswerable)] }, { headers });
    assert.match(textOf(none), /no context/i);
    assert.equal((await upstream.requests()).length, 0);
    await upstream.control({ answer: 'FastAPI is a framework [1].' });
    const found = await create({ messages: [user('What is FastAPI?')] }, { headers });
    assert.ok(found.citations.length > 0);
    await checkCitations(stack, found.citations);
  });
});
