// OpenAI's chat completions and embeddings.
//
// A dialect gives: `complaint` (why a request is refused, or nothing), `conversation` (what plan.mjs makes of it), `error`
// (instead of an answer), `wrongKey`, `whole`, and a stream's `opening`, `step`, `ending` and `errorEvent`. A turn is what
// imposter.mjs makes of a request: {scenario, entry, body, plan, response, gone}.
import { createHash } from 'node:crypto';
import { json } from './http.mjs';
import { assembled, cut } from './plan.mjs';

const dataEvent = (data) => `data: ${JSON.stringify(data)}\n\n`;
const DONE = 'data: [DONE]\n\n';
const now = () => Math.floor(Date.now() / 1000);

const partsOf = (content) => (typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []));
const textOf = (content) => partsOf(content).map((part) => part.text ?? '').join('');
const promptTokensOf = ({ messages }) => messages.reduce((sum, { content }) => sum + cut(textOf(content)).length, 0);

function error(response, status, type, message, headers, code = type, param = null) {
  json(response, status, { error: { message, type, param, code } }, headers);
}

// ---- what it refuses ------------------------------------------------------------------------------------

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/;

// Each tool message answers a call of the assistant's message before it, and each call is answered.
function toolComplaint(messages) {
  let open = new Set();
  for (const { role, tool_calls, tool_call_id } of messages) {
    if (role === 'tool') {
      if (!open.delete(tool_call_id)) return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
      continue;
    }
    if (open.size > 0) break;
    open = new Set(role === 'assistant' ? (tool_calls ?? []).map(({ id }) => id) : []);
  }
  if (open.size > 0) return "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.";
  return undefined;
}

function complaint(body) {
  const { messages, tools, tool_choice, response_format } = body;
  if (!Array.isArray(messages) || messages.length === 0) return "Invalid 'messages': empty array.";
  for (const tool of tools ?? []) {
    if (tool.type === 'function' && !TOOL_NAME.test(tool.function?.name ?? '')) return "Invalid 'tools': a function needs a name.";
  }
  if (tool_choice !== undefined && tools === undefined) return "'tool_choice' is only allowed when 'tools' are specified.";
  if (response_format?.type === 'json_schema' && !response_format.json_schema?.name) {
    return "Missing required parameter: 'response_format.json_schema.name'.";
  }
  return toolComplaint(messages);
}

// ---- what it says ----------------------------------------------------------------------------------------

function conversation(body) {
  const { messages, tools = [], tool_choice = 'auto', response_format, stop } = body;
  const last = messages.filter(({ role }) => role === 'user').at(-1);
  const answers = [];
  for (let i = messages.length - 1; i >= 0 && messages[i].role === 'tool'; i--) answers.unshift(textOf(messages[i].content));
  return {
    text: textOf(last?.content),
    images: partsOf(last?.content).filter(({ type }) => type === 'image_url').length,
    answers,
    tools: tools.filter(({ type }) => type === 'function').map((tool) => ({ name: tool.function.name, schema: tool.function.parameters })),
    choice: typeof tool_choice === 'string' ? tool_choice : tool_choice.function?.name,
    format: { json_object: {}, json_schema: { schema: response_format?.json_schema?.schema } }[response_format?.type],
    stop: [stop ?? []].flat(),
    limit: body.max_completion_tokens ?? body.max_tokens ?? Infinity,
  };
}

const callId = ({ entry }, index) => `call_${entry.id}_${index}`;

const completion = ({ entry, body }, object, choices) =>
  ({ id: `chatcmpl-${entry.id}`, object, created: now(), model: body.model, choices });
const chunk = (turn, delta, finish_reason, more = {}) =>
  completion(turn, 'chat.completion.chunk', [{ index: 0, delta, finish_reason, ...more }]);

function usage({ body, scenario, plan, entry }) {
  const prompt_tokens = promptTokensOf(body);
  const completion_tokens = plan.steps.length;
  const reasoning_tokens = plan.steps.filter(({ reasoning }) => reasoning !== undefined).length;
  const counts = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
  if (scenario.cachedTokens > 0) counts.prompt_tokens_details = { cached_tokens: Math.min(scenario.cachedTokens, prompt_tokens) };
  if (reasoning_tokens > 0) counts.completion_tokens_details = { reasoning_tokens };
  entry.usage = { prompt: prompt_tokens, completion: completion_tokens };
  return counts;
}

// Every token is as likely as its length says, and the others at its place less so.
function logprobOf(token, others) {
  const one = (text, logprob) => ({ token: text, logprob, bytes: [...Buffer.from(text)] });
  const logprob = -token.length / 100;
  const top_logprobs = Array.from({ length: others }, (_, i) => one(i === 0 ? token : `other${i}`, logprob - i));
  return { ...one(token, logprob), top_logprobs };
}

// {logprobs} of text steps, where the request asks for them.
function logprobs({ body }, steps) {
  if (!body.logprobs) return {};
  const texts = steps.filter(({ text }) => text !== undefined);
  return { logprobs: { content: texts.map(({ text }) => logprobOf(text, body.top_logprobs ?? 0)), refusal: null } };
}

function whole(turn) {
  const { text, reasoning, calls } = assembled(turn.plan.steps);
  const message = { role: 'assistant', content: text === '' && calls.length > 0 ? null : text, refusal: null };
  if (reasoning !== '') message.reasoning_content = reasoning;
  if (calls.length > 0) {
    message.tool_calls = calls.map((call) =>
      ({ id: callId(turn, call.index), type: 'function', function: { name: call.name, arguments: call.arguments } }));
  }
  const choice = { index: 0, message, finish_reason: turn.plan.finish, ...logprobs(turn, turn.plan.steps) };
  const answer = completion(turn, 'chat.completion', [choice]);
  return turn.scenario.usage ? { ...answer, usage: usage(turn) } : answer;
}

function deltaOf(turn, { text, reasoning, call }) {
  if (text !== undefined) return { content: text };
  if (reasoning !== undefined) return { reasoning_content: reasoning };
  const { index, name } = call;
  if (name === undefined) return { tool_calls: [{ index, function: { arguments: call.arguments } }] };
  return { tool_calls: [{ index, id: callId(turn, index), type: 'function', function: { name, arguments: '' } }] };
}

function ending(turn) {
  const { scenario, body, plan } = turn;
  let events = '';
  if (scenario.fault !== 'no-finish-reason') events += dataEvent(chunk(turn, {}, plan.finish));
  if (scenario.usage && body.stream_options?.include_usage) events += dataEvent({ ...chunk(turn, {}, null), choices: [], usage: usage(turn) });
  return events + ({ 'no-done': '', 'duplicate-done': DONE + DONE }[scenario.fault] ?? DONE);
}

export const openai = {
  complaint,
  conversation,
  error,
  wrongKey: (response) => error(response, 401, 'invalid_request_error', 'Incorrect API key provided.', {}, 'invalid_api_key'),
  whole,
  opening: (turn) => dataEvent(chunk(turn, { role: 'assistant', content: '' }, null)),
  step: (turn, step) => dataEvent(chunk(turn, deltaOf(turn, step), null, step.text === undefined ? {} : logprobs(turn, [step]))),
  ending,
  errorEvent: () => dataEvent({ error: { message: 'The server had an error.', type: 'server_error' } }) + DONE,
};

// ---- embeddings ---------------------------------------------------------------------------------------------

const textsOf = ({ input }) => (typeof input === 'string' ? [input] : input);

// Of length 1, and the same for the same text.
function vectorOf(text, dimensions) {
  const values = [];
  for (let block = 0; values.length < dimensions; block++) {
    const hash = createHash('sha256').update(`${block} ${text}`).digest();
    for (let at = 0; at < hash.length && values.length < dimensions; at += 2) values.push(hash.readInt16LE(at));
  }
  const length = Math.hypot(...values) || 1;
  return Float32Array.from(values, (value) => value / length);
}

export const embeddings = {
  ...openai,
  complaint(body) {
    const texts = textsOf(body);
    if (!Array.isArray(texts) || texts.length === 0) return "Missing required parameter: 'input'.";
    if (texts.some((text) => typeof text !== 'string' || text === '')) return "'$.input' is invalid.";
    return undefined;
  },
  conversation: undefined, // nothing is said, nothing streams
  whole({ body, scenario, entry }) {
    const texts = textsOf(body);
    const data = texts.map((text, index) => {
      const vector = vectorOf(text, body.dimensions ?? scenario.dimensions);
      const embedding = body.encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector];
      return { object: 'embedding', index, embedding };
    });
    const answer = { object: 'list', data, model: body.model };
    const prompt_tokens = texts.reduce((sum, text) => sum + cut(text).length, 0);
    if (!scenario.usage) return answer;
    entry.usage = { prompt: prompt_tokens, completion: 0 };
    return { ...answer, usage: { prompt_tokens, total_tokens: prompt_tokens } };
  },
};
