// The unmodified SDK of OpenAI against the real binaries: the Responses API.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import OpenAI from 'openai';
import { adminKey, collect, person, png, somePerson, startSdkStack, weather, weatherArguments } from './sdk_stack.mjs';

let upstream, sdk, client;
before(async () => {
  sdk = await startSdkStack();
  ({ upstream } = sdk);
  client = new OpenAI({ baseURL: `${sdk.stack.url}/v1`, apiKey: adminKey, maxRetries: 0 });
});
after(() => sdk?.stop());
beforeEach(() => upstream.reset());

const user = (content) => ({ role: 'user', content });
const create = (body) => client.responses.create({ model: 'gpt', input: 'hello there', ...body });

test('a response is whole or streamed', async () => {
  const whole = await create({ instructions: 'be brief' });
  assert.equal(whole.object, 'response');
  assert.equal(whole.status, 'completed');
  assert.equal(whole.output_text, 'You said: hello there');
  assert.equal(whole.usage.input_tokens, 4);
  assert.equal(whole.usage.output_tokens, 4);
  const stream = client.responses.stream({ model: 'gpt', input: [user('hello there')] });
  const { items, failure } = await collect(stream);
  assert.ifError(failure);
  assert.equal(items[0].type, 'response.created');
  assert.equal(items.at(-1).type, 'response.completed');
  assert.deepEqual(items.map(({ sequence_number }) => sequence_number), items.map((_, i) => i));
  const deltas = items.filter(({ type }) => type === 'response.output_text.delta');
  assert.ok(deltas.length > 1);
  assert.equal(deltas.map(({ delta }) => delta).join(''), 'You said: hello there');
  assert.deepEqual((await stream.finalResponse()).output.flatMap(({ content }) => content.map(({ text }) => text)), ['You said: hello there']);
});

test('responses call tools and take their answers', async () => {
  const tools = [{ type: 'function', name: 'get_weather', parameters: weather, strict: true }];
  const input = [user('please use the tool')];
  const called = await create({ input, tools });
  const [call] = called.output.filter(({ type }) => type === 'function_call');
  assert.equal(call.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.arguments), weatherArguments);
  const answer = { type: 'function_call_output', call_id: call.call_id, output: '21 degrees' };
  const said = await create({ input: [...input, ...called.output, answer], tools });
  assert.equal(said.output_text, 'The tool said: 21 degrees');
  const streamed = await client.responses.stream({ model: 'gpt', input, tools }).finalResponse();
  assert.deepEqual(streamed.output.filter(({ type }) => type === 'function_call').map((item) => JSON.parse(item.arguments)), [weatherArguments]);
});

test('responses have structured output and see images', async () => {
  const format = { type: 'json_schema', name: 'person', schema: person, strict: true };
  const parsed = await client.responses.parse({ model: 'gpt', input: 'hello there', text: { format } });
  assert.deepEqual(parsed.output_parsed, somePerson);
  const url = `data:image/png;base64,${png}`;
  const seen = await create({ input: [user([{ type: 'input_text', text: 'look' }, { type: 'input_image', image_url: url }])] });
  assert.equal(seen.output_text, 'I see 1 image(s). You said: look');
  assert.match(JSON.stringify((await upstream.lastRequest()).body.messages), new RegExp(png.slice(0, 40)));
});

test('responses that break never look complete', async () => {
  await upstream.control({ fault: 'cut-mid-stream' });
  const { items, failure } = await collect(await create({ stream: true }));
  const types = items.map(({ type }) => type);
  assert.ok(!types.includes('response.completed'), String(types));
  assert.ok(failure || types.includes('response.failed') || types.includes('error'), String(types));
});
