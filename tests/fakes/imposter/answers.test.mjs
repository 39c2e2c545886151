// Tools, images, structured output, and the rest of a modern answer; embeddings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, askClaude, control, countTokens, deltas, embed, events, textOf, typedEvents, until } from './asking.mjs';

const weather = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' }, unit: { enum: ['celsius', 'fahrenheit'] } },
  required: ['city'],
};
const weatherSample = { city: 'a city', days: 1, unit: 'celsius' };
const tools = [{ type: 'function', function: { name: 'get_weather', parameters: weather } }];
const claudeTools = [{ name: 'get_weather', input_schema: weather }];
const user = (content) => ({ role: 'user', content });
const calls = (message) => message.tool_calls.map(({ function: { name, arguments: text } }) => [name, JSON.parse(text)]);

test('a tool is called where the request offers one and asks for it, with arguments that fit its schema', async () => {
  const { choices: [{ message, finish_reason }] } = await (await ask({ tools, messages: [user('please use the tool')] })).json();
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.content, null);
  assert.deepEqual(calls(message), [['get_weather', weatherSample]]);
  const without = await (await ask({ tools })).json();
  assert.equal(without.choices[0].finish_reason, 'stop');
});

test('a stream has the same call in pieces, several with an index each', async () => {
  const text = await (await ask({ model: 'm?toolCall=true&toolCalls=2&toolPieceBytes=5', tools, stream: true })).text();
  const found = [];
  for (const { tool_calls: [call] = [] } of deltas(events(text))) {
    if (!call) continue;
    if (call.id) found[call.index] = { id: call.id, name: call.function.name, pieces: [] };
    else found[call.index].pieces.push(call.function.arguments);
  }
  assert.equal(found.length, 2);
  assert.notEqual(found[0].id, found[1].id);
  for (const { name, pieces } of found) {
    assert.equal(name, 'get_weather');
    assert.ok(pieces.length > 3 && pieces.every((piece) => piece.length <= 5));
    assert.deepEqual(JSON.parse(pieces.join('')), weatherSample);
  }
});

test('a tool\'s answer is quoted; one without its call is refused', async () => {
  const call = { id: 'c1', type: 'function', function: { name: 'get_weather', arguments: '{}' } };
  const turn = [user('use the tool'), { role: 'assistant', content: null, tool_calls: [call] }];
  const answer = { role: 'tool', tool_call_id: 'c1', content: '21 degrees' };
  const said = await (await ask({ tools, messages: [...turn, answer] })).json();
  assert.equal(said.choices[0].message.content, 'The tool said: 21 degrees');
  for (const messages of [turn, [user('x'), answer], [...turn, { ...answer, tool_call_id: 'c2' }]]) {
    assert.equal((await ask({ tools, messages })).status, 400);
  }
});

test('tool-cut ends a stream in the middle of the arguments', async () => {
  const list = events(await (await ask({ model: 'm?toolCall=true&fault=tool-cut', tools, stream: true })).text());
  const said = deltas(list).map(({ tool_calls: [call] = [] }) => call?.function.arguments ?? '').join('');
  assert.ok(said.length > 0 && JSON.stringify(weatherSample).startsWith(said));
  assert.throws(() => JSON.parse(said));
  assert.notEqual(list.at(-1), '[DONE]');
});

test('images are counted', async () => {
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
  const answer = await (await ask({ messages: [user([{ type: 'text', text: 'look' }, image, image])] })).json();
  assert.equal(answer.choices[0].message.content, 'I see 2 image(s). You said: look');
});

test('structured output fits its schema', async () => {
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string' }, age: { type: 'integer', minimum: 18 }, score: { type: 'number' }, ok: { type: 'boolean' },
      tags: { type: 'array', items: { enum: ['a', 'b'] } }, kind: { const: 'person' }, none: { type: 'null' },
      home: { $ref: '#/$defs/place' }, other: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    },
    $defs: { place: { type: 'object', properties: { city: { type: ['string', 'null'] } } } },
  };
  const fits = {
    name: 'a name', age: 18, score: 1.5, ok: true, tags: ['a'], kind: 'person', none: null, home: { city: 'a city' }, other: 'a other',
  };
  const response_format = { type: 'json_schema', json_schema: { name: 'person', schema } };
  const whole = await (await ask({ response_format })).json();
  assert.deepEqual(JSON.parse(whole.choices[0].message.content), fits);
  const list = events(await (await ask({ response_format, stream: true })).text());
  assert.deepEqual(JSON.parse(textOf(list)), fits);
  const free = await (await ask({ response_format: { type: 'json_object' } })).json();
  assert.deepEqual(JSON.parse(free.choices[0].message.content), { answer: 'You said: hello there' });
  const claude = await (await askClaude({ output_config: { format: { type: 'json_schema', schema } } })).json();
  assert.deepEqual(JSON.parse(claude.content[0].text), fits);
});

test('logprobs are there when asked for, in a stream too', async () => {
  const whole = await (await ask({ logprobs: true, top_logprobs: 2 })).json();
  const { content } = whole.choices[0].logprobs;
  assert.deepEqual(content.map(({ token }) => token).join(''), 'You said: hello there');
  assert.ok(content.every(({ logprob, top_logprobs }) => logprob < 0 && top_logprobs.length === 2));
  const list = events(await (await ask({ logprobs: true, stream: true })).text());
  assert.equal(JSON.parse(list[1]).choices[0].logprobs.content[0].token, 'You');
  assert.equal((await (await ask({})).json()).choices[0].logprobs, undefined);
});

test('reasoning, cached tokens and stop sequences', async () => {
  const answer = await (await ask({ model: 'm?reasoning=let me think&cachedTokens=1', stop: ['there'] })).json();
  assert.equal(answer.choices[0].message.reasoning_content, 'let me think');
  assert.equal(answer.choices[0].message.content, 'You said: hello ');
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.deepEqual(answer.usage, {
    prompt_tokens: 2, completion_tokens: 7, total_tokens: 9,
    prompt_tokens_details: { cached_tokens: 1 }, completion_tokens_details: { reasoning_tokens: 3 },
  });
  const list = events(await (await ask({ model: 'm?reasoning=let me think', stream: true })).text());
  assert.equal(deltas(list).map((delta) => delta.reasoning_content ?? '').join(''), 'let me think');
});

test('a wrong type, nothing at all, and the end twice', async () => {
  const plain = await ask({ model: 'm?fault=wrong-content-type' });
  assert.match(plain.headers.get('content-type'), /^text\/plain/);
  const said = await plain.text();
  assert.throws(() => JSON.parse(said), said);
  for (const stream of [true, false]) {
    const response = await ask({ model: 'm?fault=empty', stream });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '');
  }
  const twice = events(await (await ask({ model: 'm?fault=duplicate-done', stream: true })).text());
  assert.deepEqual(twice.slice(-2), ['[DONE]', '[DONE]']);
  const claude = typedEvents(await (await askClaude({ model: 'm?fault=duplicate-done', stream: true })).text());
  assert.deepEqual(claude.slice(-2).map(({ type }) => type), ['message_stop', 'message_stop']);
});

test('another key than the required one is refused as the real ones do', async () => {
  await control({ requireKey: 'right' });
  const refused = await ask({}, { authorization: 'Bearer wrong' });
  assert.equal(refused.status, 401);
  assert.equal((await refused.json()).error.code, 'invalid_api_key');
  assert.equal((await ask({}, { authorization: 'Bearer right' })).status, 200);
  const claude = await askClaude({});
  assert.equal(claude.status, 401);
  assert.equal((await claude.json()).error.type, 'authentication_error');
  assert.equal((await askClaude({}, { 'x-api-key': 'right' })).status, 200);
});

test('messages: a tool\'s call, its stream, its answer', async () => {
  const messages = [user('use the tool')];
  const called = await (await askClaude({ tools: claudeTools, messages })).json();
  assert.equal(called.stop_reason, 'tool_use');
  assert.deepEqual(called.content.map(({ type, name, input }) => [type, name, input]), [['tool_use', 'get_weather', weatherSample]]);
  const list = typedEvents(await (await askClaude({ tools: claudeTools, messages, stream: true })).text());
  assert.equal(list[1].content_block.name, 'get_weather');
  assert.deepEqual(JSON.parse(list.map(({ delta }) => delta?.partial_json ?? '').join('')), weatherSample);
  const turn = [...messages, { role: 'assistant', content: called.content }];
  const answer = { type: 'tool_result', tool_use_id: called.content[0].id, content: [{ type: 'text', text: '21 degrees' }] };
  const said = await (await askClaude({ tools: claudeTools, messages: [...turn, user([answer])] })).json();
  assert.equal(said.content[0].text, 'The tool said: 21 degrees');
  for (const wrong of [[...turn, user('x')], [...turn, user([{ ...answer, tool_use_id: 'other' }])], [user([answer])]]) {
    assert.equal((await askClaude({ tools: claudeTools, messages: wrong })).status, 400);
  }
});

test('messages: thinking, text and a tool are blocks of their own, in order', async () => {
  const model = 'm?reasoning=let me think&toolCall=true&answer=I will';
  const whole = await (await askClaude({ model, tools: claudeTools })).json();
  assert.deepEqual(whole.content.map(({ type }) => type), ['thinking', 'text', 'tool_use']);
  const list = typedEvents(await (await askClaude({ model, tools: claudeTools, stream: true })).text());
  const starts = list.filter(({ type }) => type === 'content_block_start');
  assert.deepEqual(starts.map(({ index, content_block }) => [index, content_block.type]), [[0, 'thinking'], [1, 'text'], [2, 'tool_use']]);
  assert.deepEqual(list.filter(({ type }) => type === 'content_block_stop').map(({ index }) => index), [0, 1, 2]);
  assert.equal(list.map(({ delta }) => delta?.thinking ?? '').join(''), 'let me think');
  assert.equal(list.find(({ delta }) => delta?.type === 'signature_delta').delta.signature, whole.content[0].signature);
});

test('messages: images, stop sequences, cached tokens, and a count', async () => {
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
  const messages = [user([image, { type: 'text', text: 'look here' }])];
  const answer = await (await askClaude({ model: 'm?cachedTokens=1', messages, stop_sequences: ['here'] })).json();
  assert.equal(answer.content[0].text, 'I see 1 image(s). You said: look ');
  assert.deepEqual([answer.stop_reason, answer.stop_sequence], ['stop_sequence', 'here']);
  assert.deepEqual(answer.usage, { input_tokens: 1, cache_read_input_tokens: 1, cache_creation_input_tokens: 0, output_tokens: 8 });
  const count = await countTokens({ model: 'm', system: 'be brief', messages });
  assert.deepEqual(await count.json(), { input_tokens: 4 });
});

// ---- embeddings --------------------------------------------------------------------------------------------------

test('embeddings are the same for the same text, of length 1, in either encoding', async () => {
  const { data, usage } = await (await embed({ input: ['one text', 'another', 'one text'] })).json();
  assert.deepEqual(data.map(({ index }) => index), [0, 1, 2]);
  assert.deepEqual(data[0].embedding, data[2].embedding);
  assert.notDeepEqual(data[0].embedding, data[1].embedding);
  assert.equal(data[0].embedding.length, 8);
  assert.ok(Math.abs(Math.hypot(...data[0].embedding) - 1) < 1e-6);
  assert.deepEqual(usage, { prompt_tokens: 5, total_tokens: 5 });
  const { data: [{ embedding }] } = await (await embed({ input: 'one text', encoding_format: 'base64' })).json();
  const bytes = Buffer.from(embedding, 'base64');
  assert.deepEqual(Array.from({ length: 8 }, (_, i) => bytes.readFloatLE(4 * i)), data[0].embedding);
  assert.equal((await (await embed({ input: 'x', dimensions: 50 })).json()).data[0].embedding.length, 50);
});

test('embeddings know the faults of whole answers, and refuse what is no text', async () => {
  assert.equal((await embed({ input: 'x', model: 'm?fault=http-503' })).status, 503);
  await assert.rejects(async () => (await embed({ input: 'x', model: 'm?fault=cut-mid-stream' })).text());
  for (const input of [undefined, [], '', [1]]) assert.equal((await embed({ input })).status, 400);
});

test('the log says what was asked where, and when its connection closed', async () => {
  await (await embed({ input: 'x' }, { connection: 'close' })).json();
  const seen = await until(({ requests }) => requests[0].closed_at !== null);
  assert.equal(seen.requests[0].path, '/v1/embeddings');
  assert.ok(seen.requests[0].closed_at >= seen.requests[0].ended_at);
  assert.deepEqual(seen.open, []);
});
