// The unmodified SDK of OpenAI against the real binaries: what an application has that changes nothing but its base URL.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import OpenAI from 'openai';
import { adminKey, checkCitations, collect, person, png, somePerson, startSdkStack, unanswerable, weather, weatherArguments } from './sdk_stack.mjs';

let stack, upstream, sdk, client;
before(async () => {
  sdk = await startSdkStack();
  ({ stack, upstream } = sdk);
  client = new OpenAI({ baseURL: `${stack.url}/v1`, apiKey: adminKey, maxRetries: 0 });
});
after(() => sdk?.stop());
beforeEach(() => upstream.reset());

const user = (content) => ({ role: 'user', content });
const hello = { model: 'gpt', messages: [user('hello there')] };
const chat = (body, options) => client.chat.completions.create({ ...hello, ...body }, options);
const tool = { type: 'function', function: { name: 'get_weather', description: 'Looks outside.', parameters: weather, strict: true } };

const textOf = (chunks) => chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join('');

test('a chat answers whole, with the model\'s own usage and the request\'s id', async () => {
  const { data, response } = await client.chat.completions.create(hello).withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.model, 'gpt');
  assert.equal(data.choices.length, 1);
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.equal(data.choices[0].message.content, 'You said: hello there');
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.equal(data.usage.prompt_tokens, 2);
  assert.equal(data.usage.completion_tokens, 4);
  assert.equal(data.usage.total_tokens, 6);
  assert.equal(data._request_id, response.headers.get('x-request-id'));
  const row = await stack.ledgerRow(({ request_id, status }) => request_id === data._request_id && status !== 'RUNNING');
  assert.deepEqual([row.status, row.model, row.prompt_tokens, row.completion_tokens], ['OK', 'gpt', 2, 4]);
  const { body, headers } = await upstream.lastRequest();
  assert.equal(body.model, 'gpt-upstream');
  assert.equal(headers.authorization, 'Bearer sk-of-the-operator', 'the caller\'s key stays here');
});

test('a chat streams the same', async () => {
  const { items, failure } = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
  assert.ifError(failure);
  assert.equal(textOf(items), 'You said: hello there');
  assert.equal(items[0].choices[0].delta.role, 'assistant');
  assert.ok(items.every(({ object, id }) => object === 'chat.completion.chunk' && id === items[0].id));
  const finishes = items.map(({ choices: [choice] }) => choice?.finish_reason).filter(Boolean);
  assert.deepEqual(finishes, ['stop']);
  assert.deepEqual(items.at(-1).choices, []);
  assert.equal(items.at(-1).usage.total_tokens, 6);
  const without = await collect(await chat({ stream: true }));
  assert.ok(without.items.every(({ choices }) => choices.length === 1), 'no usage where none was asked for');
});

test('max_tokens, stop and reasoning arrive as OpenAI\'s own would', async () => {
  const short = await chat({ max_completion_tokens: 2 });
  assert.equal(short.choices[0].finish_reason, 'length');
  assert.equal(short.choices[0].message.content, 'You said:');
  const stopped = await chat({ stop: ['there'] });
  assert.equal(stopped.choices[0].finish_reason, 'stop');
  assert.equal(stopped.choices[0].message.content.trim(), 'You said: hello');
  await upstream.control({ reasoning: 'let me think', cachedTokens: 1 });
  const thought = await chat({});
  assert.equal(thought.choices[0].message.content, 'You said: hello there');
  assert.equal(thought.choices[0].message.reasoning_content, 'let me think');
  assert.equal(thought.usage.completion_tokens_details.reasoning_tokens, 3);
  assert.equal(thought.usage.prompt_tokens_details.cached_tokens, 1);
});

test('logprobs: each token\'s, whole and streamed', async () => {
  const whole = await chat({ logprobs: true, top_logprobs: 2 });
  const { content } = whole.choices[0].logprobs;
  assert.equal(content.map(({ token }) => token).join(''), 'You said: hello there');
  assert.ok(content.every(({ logprob, top_logprobs, bytes }) => logprob < 0 && top_logprobs.length === 2 && bytes.length > 0));
  const { items } = await collect(await chat({ logprobs: true, top_logprobs: 2, stream: true }));
  assert.deepEqual(items.flatMap(({ choices: [choice] }) => choice?.logprobs?.content ?? []), content);
});

// `model` is behind OpenAI's API or Anthropic's: the application can't tell.
for (const model of ['gpt', 'claude']) {
  describe(`tools with ${model}`, () => {
    const question = user('please use the tool');

    test('a round trip: call, run, answer', async () => {
      const called = await chat({ model, messages: [question], tools: [tool], tool_choice: 'auto' });
      const { message, finish_reason } = called.choices[0];
      assert.equal(finish_reason, 'tool_calls');
      assert.equal(message.tool_calls.length, 1);
      const [call] = message.tool_calls;
      assert.equal(call.type, 'function');
      assert.equal(call.function.name, 'get_weather');
      assert.deepEqual(JSON.parse(call.function.arguments), weatherArguments);
      const answer = { role: 'tool', tool_call_id: call.id, content: '21 degrees' };
      const said = await chat({ model, messages: [question, message, answer], tools: [tool] });
      assert.equal(said.choices[0].message.content, 'The tool said: 21 degrees');
      assert.equal(said.choices[0].finish_reason, 'stop');
    });

    test('the SDK accumulates streamed calls, two at once', async () => {
      await upstream.control({ toolCall: true, toolCalls: 2, toolPieceBytes: 3 });
      const stream = client.chat.completions.stream({ model, messages: [question], tools: [tool] });
      const { choices: [{ message, finish_reason }] } = await stream.finalChatCompletion();
      assert.equal(finish_reason, 'tool_calls');
      assert.deepEqual(message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
        [['get_weather', weatherArguments], ['get_weather', weatherArguments]]);
      assert.notEqual(message.tool_calls[0].id, message.tool_calls[1].id);
    });

    test('tool_choice names the tool, or forbids them', async () => {
      const other = { type: 'function', function: { name: 'other', parameters: weather } };
      const forced = await chat({ model, tools: [other, tool], tool_choice: { type: 'function', function: { name: 'get_weather' } } });
      assert.deepEqual(forced.choices[0].message.tool_calls.map((call) => call.function.name), ['get_weather']);
      const none = await chat({ model, messages: [question], tools: [tool], tool_choice: 'none' });
      assert.equal(none.choices[0].message.tool_calls, undefined);
      assert.equal(none.choices[0].finish_reason, 'stop');
    });

    test('a stream that is cut in a tool\'s arguments is an error', async () => {
      await upstream.control({ toolCall: true, fault: 'tool-cut' });
      const { failure } = await collect(await chat({ model, messages: [question], tools: [tool], stream: true }));
      assert.ok(failure instanceof OpenAI.APIError, String(failure));
    });
  });
}

test('a tool and its schema reach OpenAI\'s upstream as they were', async () => {
  await chat({ tools: [tool], parallel_tool_calls: false });
  const { body } = await upstream.lastRequest();
  assert.deepEqual(body.tools, [tool]);
  assert.equal(body.parallel_tool_calls, false);
});

const image = (url) => ({ type: 'image_url', image_url: { url } });

test('an image reaches the upstream unchanged', async () => {
  const content = [{ type: 'text', text: 'look here' }, image(`data:image/png;base64,${png}`)];
  const answer = await chat({ messages: [user(content)] });
  assert.equal(answer.choices[0].message.content, 'I see 1 image(s). You said: look here');
  assert.deepEqual((await upstream.lastRequest()).body.messages, [user(content)]);
});

test('an image reaches Anthropic\'s upstream as its own kind of block', async () => {
  const content = [{ type: 'text', text: 'look here' }, image(`data:image/png;base64,${png}`), image('https://pictures.example/a.png')];
  const answer = await chat({ model: 'claude', messages: [user(content)] });
  assert.equal(answer.choices[0].message.content, 'I see 2 image(s). You said: look here');
  const { body } = await upstream.lastRequest();
  assert.deepEqual(body.messages[0].content.filter(({ type }) => type === 'image').map(({ source }) => source), [
    { type: 'base64', media_type: 'image/png', data: png },
    { type: 'url', url: 'https://pictures.example/a.png' },
  ]);
});

test('structured output fits its schema, and the SDK parses it', async () => {
  const response_format = { type: 'json_schema', json_schema: { name: 'person', schema: person, strict: true } };
  const whole = await client.chat.completions.parse({ ...hello, response_format });
  assert.deepEqual(whole.choices[0].message.parsed, somePerson);
  assert.deepEqual((await upstream.lastRequest()).body.response_format, response_format);
  const streamed = await client.chat.completions.stream({ ...hello, response_format }).finalChatCompletion();
  assert.deepEqual(JSON.parse(streamed.choices[0].message.content), somePerson);
  const object = await chat({ response_format: { type: 'json_object' } });
  assert.deepEqual(JSON.parse(object.choices[0].message.content), { answer: 'You said: hello there' });
});

test('parameters that only the upstream knows arrive there untouched', async () => {
  const extra = { logit_bias: { 50256: -100 }, presence_penalty: 0.25, top_k: 40, metadata: { a: 'b', nested: [1, 2.5, null] }, big: 1e300 };
  const known = { temperature: 0.5, top_p: 0.9, seed: 7, user: 'someone' };
  await chat({ ...extra, ...known });
  const { body } = await upstream.lastRequest();
  for (const [key, value] of Object.entries({ ...extra, temperature: 0.5, top_p: 0.9, seed: 7 })) assert.deepEqual(body[key], value, key);
});

describe('embeddings', () => {
  const embed = (body) => client.embeddings.create({ model: 'embedder', ...body });

  test('are the same by default (base64) and as floats', async () => {
    const input = ['one text', 'another'];
    const packed = await embed({ input });
    const plain = await embed({ input, encoding_format: 'float' });
    assert.deepEqual(packed.data.map(({ index }) => index), [0, 1]);
    assert.deepEqual(packed.data.map(({ embedding }) => embedding.length), [8, 8]);
    for (const [i, { embedding }] of packed.data.entries()) {
      assert.deepEqual(embedding.map(Math.fround), plain.data[i].embedding.map(Math.fround));
    }
    assert.notDeepEqual(packed.data[0].embedding, packed.data[1].embedding);
    assert.equal(plain.model, 'embedder');
    assert.equal(plain.usage.prompt_tokens, 3);
    assert.equal(plain.usage.total_tokens, 3);
  });

  test('have the asked dimensions, take one text, and cost a ledger row', async () => {
    const { data, usage } = await embed({ input: 'a text of its own', dimensions: 32, user: 'embeds' });
    assert.equal(data.length, 1);
    assert.equal(data[0].embedding.length, 32);
    assert.equal(usage.prompt_tokens, 5);
    const row = await stack.ledgerRow(({ user_id, status }) => user_id === 'embeds' && status !== 'RUNNING');
    assert.deepEqual([row.endpoint, row.status, row.model, row.prompt_tokens, row.completion_tokens], ['Embed', 'OK', 'embedder', 5, 0]);
    assert.equal((await upstream.lastRequest()).body.model, 'embedding-upstream');
  });

  test('fail honestly', async () => {
    await assert.rejects(embed({ input: [] }), OpenAI.BadRequestError);
    await assert.rejects(embed({ input: 'x', model: 'nope' }), OpenAI.NotFoundError);
    await upstream.control({ fault: 'http-503' });
    await assert.rejects(embed({ input: 'x' }), OpenAI.InternalServerError);
  });
});

test('models are listed, aliases too, and looked up by name', async () => {
  const names = [];
  for await (const { id } of client.models.list()) names.push(id);
  for (const name of ['gpt', 'fast', 'claude', 'embedder', 'extractive']) assert.ok(names.includes(name), `${name} in ${names}`);
  for (const name of ['gpt', 'fast', 'docs/gpt']) assert.equal((await client.models.retrieve(name)).id, name);
  await assert.rejects(client.models.retrieve('nope'), OpenAI.NotFoundError);
  const answer = await chat({ model: 'fast' });
  assert.equal(answer.choices[0].message.content, 'You said: hello there');
});

describe('errors are the SDK\'s own', () => {
  test('400 BadRequestError names the field', async () => {
    await assert.rejects(chat({ temperature: 9 }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError, String(error));
      assert.match(error.message, /temperature/);
      assert.equal(error.param, 'temperature');
      return true;
    });
    await assert.rejects(chat({ messages: [] }), OpenAI.BadRequestError);
    await assert.rejects(chat({ stream: true, messages: [user('')] }), OpenAI.BadRequestError);
  });

  test('401 AuthenticationError: a wrong key, and none of it is told', async () => {
    const stranger = new OpenAI({ baseURL: `${stack.url}/v1`, apiKey: 'sk-of-a-stranger', maxRetries: 0 });
    for (const call of [
      () => stranger.chat.completions.create(hello),
      () => stranger.chat.completions.create({ ...hello, stream: true }),
      () => stranger.embeddings.create({ model: 'embedder', input: 'x' }),
      () => stranger.models.list(),
    ]) {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof OpenAI.AuthenticationError, String(error));
        assert.equal(error.code, 'invalid_api_key');
        assert.ok(!error.message.includes('stranger') && !error.message.includes(adminKey));
        return true;
      });
    }
    assert.equal((await upstream.requests()).length, 0);
  });

  test('404 NotFoundError: an unknown model, with the known ones', async () => {
    await assert.rejects(chat({ model: 'nope' }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError, String(error));
      assert.match(error.message, /nope/);
      for (const name of ['gpt', 'claude']) assert.match(error.message, new RegExp(name));
      return true;
    });
  });

  test('429 RateLimitError, with the upstream\'s Retry-After', async () => {
    await upstream.control({ fault: 'rate-limit', retryAfter: '7' });
    await assert.rejects(chat({}), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError, String(error));
      assert.equal(error.headers.get('retry-after'), '7');
      return true;
    });
  });

  test('500 and more InternalServerError, whatever the upstream did', async () => {
    for (const [fault, status] of [['http-500', 502], ['html', 502], ['reset-before-headers', 502], ['http-401', 502]]) {
      await upstream.control({ fault });
      for (const stream of [false, true]) {
        await assert.rejects(chat({ stream }), (error) => {
          assert.ok(error instanceof OpenAI.InternalServerError, `${fault}: ${error}`);
          assert.equal(error.status, status);
          assert.ok(!JSON.stringify([error.message, error]).includes('of-the-operator'), 'the key leaked');
          return true;
        });
      }
    }
  });

  test('a stream that breaks midway throws after what it had', async () => {
    for (const fault of ['cut-mid-stream', 'end-mid-stream', 'error-mid-stream']) {
      await upstream.control({ fault });
      const { items, failure } = await collect(await chat({ stream: true }));
      assert.ok(failure instanceof OpenAI.APIError, `${fault}: ${failure}`);
      assert.equal(textOf(items), 'You said: hello');
      assert.ok(items.every(({ choices: [choice] }) => !choice?.finish_reason), 'it looked finished');
    }
  });
});

test('an application that aborts its stream closes the upstream\'s connection', async () => {
  for (const model of ['gpt', 'claude']) {
    await upstream.control({ tokens: 2000, tokenDelayMs: 5 });
    const messages = [user(`a long story with ${model}`)];
    const stream = await chat({ model, messages, stream: true });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 5) stream.controller.abort();
    const entry = await upstream.request(({ body, ended }) => body?.stream && ended === 'client_gone', `${model}: the upstream sees the client leave`);
    assert.ok(entry.tokens_sent < 2000);
    const row = await stack.ledgerRow(({ prompt, status }) => prompt === messages[0].content && status !== 'RUNNING');
    assert.equal(row.status, 'CANCELLED');
    assert.ok(row.completion_tokens > 0);
    await upstream.reset();
  }
});

test('in front of Anthropic\'s upstream: whole, streamed, with a system message and both usages', async () => {
  const messages = [{ role: 'system', content: 'be brief' }, user('hello there')];
  const whole = await chat({ model: 'claude', messages });
  assert.equal(whole.choices[0].message.content, 'You said: hello there');
  assert.equal(whole.usage.prompt_tokens, 4);
  const { body, path, headers } = await upstream.lastRequest();
  assert.equal(path, '/v1/messages');
  assert.equal(headers['x-api-key'], 'sk-ant-of-the-operator');
  assert.match(JSON.stringify(body.system), /be brief/);
  const stream = await chat({ model: 'claude', messages, stream: true, stream_options: { include_usage: true } });
  const { items, failure } = await collect(stream);
  assert.ifError(failure);
  assert.equal(textOf(items), 'You said: hello there');
  assert.equal(items.at(-1).usage.completion_tokens, 4);
});

describe('answers from documents', () => {
  test('are not given unasked', async () => {
    await chat({ messages: [user('What is FastAPI?')] });
    assert.deepEqual((await upstream.lastRequest()).body.messages, [user('What is FastAPI?')]);
  });

  test('by the model\'s name: the passages reach the upstream, its citations come back', async () => {
    await upstream.control({ answer: 'FastAPI is a framework [1].' });
    const answer = await chat({ model: 'docs/gpt', messages: [user('What is FastAPI?')] });
    assert.match(JSON.stringify((await upstream.lastRequest()).body.messages), /Python web framework/);
    assert.equal(answer.citations.length, 1);
    await checkCitations(stack, answer.citations);
    const { items } = await collect(await chat({ model: 'docs/gpt', messages: [user('What is FastAPI?')], stream: true }));
    assert.deepEqual(items.findLast(({ citations }) => citations).citations, answer.citations);
  });

  test('by a header, strict: no evidence, no call and no invention', async () => {
    const headers = { 'x-aibackend-retrieval': 'strict' };
    const none = await chat({ messages: [user(unanswerable)] }, { headers });
    assert.match(none.choices[0].message.content, /no context/i);
    assert.equal(none.citations, undefined);
    assert.equal((await upstream.requests()).length, 0);
    await upstream.control({ answer: 'FastAPI is a framework [1].' });
    const found = await chat({ messages: [user('What is FastAPI?')] }, { headers });
    assert.ok(found.citations.length > 0);
    await checkCitations(stack, found.citations);
  });
});
