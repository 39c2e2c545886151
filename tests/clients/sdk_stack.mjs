// What the tests of the SDKs share: gateway and server with a key, three models behind them, and the imposter as everybody's
// upstream. `gpt` is behind OpenAI's API, `claude` behind Anthropic's, `embedder` makes vectors.
import { FakeUpstream, modelsToml } from '../api/fake_upstream.mjs';
import { Stack } from '../api/stack.mjs';

export const adminKey = 'secret-admin-key';

export async function startSdkStack() {
  const upstream = await FakeUpstream.start();
  const openai = { provider: 'openai', base_url: `${upstream.url}/v1`, retries: 0, breaker_failures: 0 };
  const config = modelsToml({
    gpt: { ...openai, api_key: 'sk-of-the-operator', upstream_model: 'gpt-upstream', aliases: ['fast'] },
    claude: {
      provider: 'anthropic', base_url: upstream.url, api_key: 'sk-ant-of-the-operator', upstream_model: 'claude-upstream',
      retries: 0, breaker_failures: 0,
    },
    embedder: { ...openai, api_key: 'sk-of-the-operator', kind: 'embedding', upstream_model: 'embedding-upstream' },
  });
  const stack = await Stack.start({ AIB_ADMIN_KEY: adminKey }, config).catch((failure) => {
    upstream.stop();
    throw failure;
  });
  return {
    stack, upstream,
    async stop() {
      upstream.stop();
      await stack.stop();
    },
  };
}

export const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

// A tool and what the imposter calls it with.
export const weather = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
};
export const weatherArguments = { city: 'a city', days: 1 };

// A schema and what the imposter says to it.
export const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' }, tags: { type: 'array', items: { type: 'string' } } },
  required: ['name', 'age', 'tags'],
  additionalProperties: false,
};
export const somePerson = { name: 'a name', age: 1, tags: ['a tags'] };

// Says nothing about this: what the sample corpus has no evidence for.
export const unanswerable = 'Who won the 1987 Tour de France bicycle race?';

// An iterable's items, and what they were before it failed.
export async function collect(stream) {
  const items = [];
  try {
    for await (const item of stream) items.push(item);
  } catch (failure) {
    return { items, failure };
  }
  return { items };
}

// Each citation is a verbatim piece of a stored document.
export async function checkCitations(stack, citations) {
  for (const { document_id, start, end, text } of citations) {
    const { status, body } = await stack.json('GET', `/v1/documents/${encodeURIComponent(document_id)}`);
    if (status !== 200) throw new Error(`no document ${document_id}`);
    const stored = Buffer.from(body.text).subarray(start, end).toString();
    if (stored !== text || text === '') throw new Error(`not verbatim: ${text} / ${stored}`);
  }
}
