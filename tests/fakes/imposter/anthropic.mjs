// Anthropic's messages. What a dialect gives: openai.mjs.
import { json } from './http.mjs';
import { assembled, cut } from './plan.mjs';

const typedEvent = (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;

const blocksOf = (content) => (typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []));
const blockText = (block) => (block.type === 'tool_result' ? textOf(block.content) : (block.text ?? ''));
const textOf = (content) => blocksOf(content).map(blockText).join('');

export const promptTokensOf = ({ system, messages }) =>
  [system, ...(messages ?? []).map(({ content }) => content)].reduce((sum, content) => sum + cut(textOf(content)).length, 0);

// ---- what it refuses ---------------------------------------------------------------------------------------

const ERROR_TYPES = {
  400: 'invalid_request_error', 401: 'authentication_error', 402: 'billing_error', 403: 'permission_error', 404: 'not_found_error',
  413: 'request_too_large', 429: 'rate_limit_error', 504: 'timeout_error', 529: 'overloaded_error',
};

const error = (response, status, code, message, headers) =>
  json(response, status, { type: 'error', error: { type: ERROR_TYPES[status] ?? 'api_error', message } }, headers);

const idsOf = (content, type, key) => blocksOf(content).filter((block) => block.type === type).map((block) => block[key]);

// A call is answered in the message after it, and an answer has its call in the message before it.
function toolComplaint(messages) {
  for (let i = 0; i <= messages.length; i++) {
    const calls = idsOf(messages[i - 1]?.content, 'tool_use', 'id');
    const answers = idsOf(messages[i]?.content, 'tool_result', 'tool_use_id');
    if (answers.some((id) => !calls.includes(id))) return 'messages: `tool_result` without its `tool_use` in the message before';
    if (calls.some((id) => !answers.includes(id))) return 'messages: `tool_use` ids were found without `tool_result` blocks after them';
  }
  return undefined;
}

function messagesComplaint({ messages, tools }) {
  if (!Array.isArray(messages)) return 'messages: Field required';
  const roles = messages.map(({ role }) => role);
  if (roles[0] !== 'user') return 'messages: the first message must use the "user" role';
  if (roles.some((role) => role !== 'user' && role !== 'assistant')) return 'messages: unexpected role';
  if (roles.some((role, i) => role === roles[i - 1])) return 'messages: roles must alternate';
  const blocks = messages.flatMap(({ content }) => blocksOf(content));
  if (blocks.some(({ type, text }) => type === 'text' && !text)) return 'messages: text content blocks must be non-empty';
  for (const { type, name, input_schema } of tools ?? []) {
    if (type !== undefined && type !== 'custom') continue; // a tool of the API's own
    if (!name || input_schema?.type !== 'object') return 'tools: name and input_schema (of type object) are required';
  }
  return toolComplaint(messages);
}

function complaint(body) {
  if (!(body.max_tokens >= 1)) return 'max_tokens: Field required';
  if (body.temperature > 1) return 'temperature: range: 0..1';
  if (body.tool_choice !== undefined && body.tools === undefined) return 'tool_choice: may only be specified while providing tools';
  return messagesComplaint(body);
}

// ---- what it says --------------------------------------------------------------------------------------------

const CHOICES = { auto: 'auto', none: 'none', any: 'required' };

function conversation(body) {
  const { messages, tools = [], tool_choice = { type: 'auto' }, stop_sequences = [], max_tokens } = body;
  const last = messages.filter(({ role, content }) => role === 'user' && blocksOf(content).some(({ type }) => type !== 'tool_result')).at(-1);
  const blocks = blocksOf(last?.content);
  const format = body.output_config?.format ?? body.output_format;
  return {
    text: blocks.filter(({ type }) => type === 'text').map(blockText).join(''),
    images: blocks.filter(({ type }) => type === 'image').length,
    answers: blocksOf(messages.at(-1).content).filter(({ type }) => type === 'tool_result').map(blockText),
    tools: tools.filter(({ input_schema }) => input_schema).map(({ name, input_schema }) => ({ name, schema: input_schema })),
    choice: CHOICES[tool_choice.type] ?? tool_choice.name,
    format: format?.type === 'json_schema' ? { schema: format.schema } : undefined,
    stop: stop_sequences,
    limit: max_tokens,
  };
}

const STOP_REASONS = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use', content_filter: 'refusal' };
const stopOf = ({ plan: { finish, stopped } }) => ({
  stop_reason: stopped === undefined ? (STOP_REASONS[finish] ?? finish) : 'stop_sequence',
  stop_sequence: stopped ?? null,
});

const callId = ({ entry }, index) => `toolu_${entry.id}_${index}`;
const SIGNATURE = 'c2lnbmVkIGJ5IHRoZSBpbXBvc3Rlcg=='; // of a thinking block: opaque, to be given back as it is

const message = ({ entry, body }, more) =>
  ({ id: `msg_${entry.id}`, type: 'message', role: 'assistant', model: body.model, ...more });

// input_tokens are those that came out of no cache.
function inputUsage({ body, scenario: { cachedTokens } }) {
  const all = promptTokensOf(body);
  const cached = Math.min(cachedTokens, all);
  return { input_tokens: all - cached, ...(cachedTokens > 0 ? { cache_read_input_tokens: cached, cache_creation_input_tokens: 0 } : {}) };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // cut by max_tokens
  }
}

function whole(turn) {
  const { text, reasoning, calls } = assembled(turn.plan.steps);
  const content = [];
  if (reasoning !== '') content.push({ type: 'thinking', thinking: reasoning, signature: SIGNATURE });
  if (text !== '') content.push({ type: 'text', text });
  for (const call of calls) content.push({ type: 'tool_use', id: callId(turn, call.index), name: call.name, input: parsed(call.arguments) });
  const answer = message(turn, { content, ...stopOf(turn) });
  return turn.scenario.usage ? { ...answer, usage: { ...inputUsage(turn), output_tokens: turn.plan.steps.length } } : answer;
}

// ---- its streams: a block begins with its first step and ends where another begins, or the stream --------------

function blockOf(turn, { text, reasoning, call }) {
  if (text !== undefined) return { key: 'text', start: { type: 'text', text: '' } };
  if (reasoning !== undefined) return { key: 'thinking', start: { type: 'thinking', thinking: '', signature: '' } };
  return { key: `call ${call.index}`, start: { type: 'tool_use', id: callId(turn, call.index), name: call.name, input: {} } };
}

function deltaOf({ text, reasoning, call }) {
  if (text !== undefined) return { type: 'text_delta', text };
  if (reasoning !== undefined) return { type: 'thinking_delta', thinking: reasoning };
  return { type: 'input_json_delta', partial_json: call.arguments ?? '' };
}

function blockEnd({ block }) {
  if (!block) return '';
  const { index } = block;
  const signed = typedEvent({ type: 'content_block_delta', index, delta: { type: 'signature_delta', signature: SIGNATURE } });
  return (block.key === 'thinking' ? signed : '') + typedEvent({ type: 'content_block_stop', index });
}

function step(turn, given) {
  const { key, start } = blockOf(turn, given);
  let events = '';
  if (turn.block?.key !== key) {
    events += blockEnd(turn);
    turn.block = { key, index: turn.block ? turn.block.index + 1 : 0 };
    events += typedEvent({ type: 'content_block_start', index: turn.block.index, content_block: start });
    if (turn.block.index === 0) events += typedEvent({ type: 'ping' });
  }
  return events + typedEvent({ type: 'content_block_delta', index: turn.block.index, delta: deltaOf(given) });
}

function opening(turn) {
  const start = message(turn, { content: [], stop_reason: null, stop_sequence: null });
  if (turn.scenario.usage) start.usage = { ...inputUsage(turn), output_tokens: 1 };
  return typedEvent({ type: 'message_start', message: start });
}

function ending(turn) {
  const { scenario, plan } = turn;
  const none = { stop_reason: null, stop_sequence: null };
  const end = { type: 'message_delta', delta: scenario.fault === 'no-finish-reason' ? none : stopOf(turn) };
  if (scenario.usage) end.usage = { output_tokens: plan.steps.length };
  const stop = typedEvent({ type: 'message_stop' });
  return blockEnd(turn) + typedEvent(end) + ({ 'no-done': '', 'duplicate-done': stop + stop }[scenario.fault] ?? stop);
}

export const anthropic = {
  complaint,
  conversation,
  error,
  wrongKey: (response) => error(response, 401, '', 'invalid x-api-key'),
  whole,
  opening,
  step,
  ending,
  errorEvent: () => typedEvent({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
};

export const countTokens = {
  ...anthropic,
  complaint: messagesComplaint,
  conversation: undefined, // nothing is said, nothing streams
  whole: ({ body }) => ({ input_tokens: promptTokensOf(body) }),
};
