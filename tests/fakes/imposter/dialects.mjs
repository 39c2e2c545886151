// What the imposter says, and how each of the APIs it speaks puts it.
//
// A dialect gives: `complaint` (why a request is refused, or nothing), `error` (instead of an answer), `whole`, and a stream's
// `opening`, `token`, `ending` and `errorEvent`. A turn is what imposter.mjs makes of a request.

// ---- in any dialect -----------------------------------------------------------------------------------

// The tokens of a text, here: its words, each with the spaces before it.
const cut = (text) => text.match(/\s*\S+|\s+$/g) ?? [];

const textOf = (content) =>
  typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('');

function fullAnswer({ scenario, body }) {
  if (scenario.tokens > 0) return Array.from({ length: scenario.tokens }, (_, i) => (i === 0 ? 'token0' : ` token${i}`));
  if (scenario.answer !== '') return cut(scenario.answer);
  const last = (body.messages ?? []).filter((message) => message.role === 'user').at(-1);
  return cut(`You said: ${textOf(last?.content)}`);
}

const tokenLimit = ({ body }) => body.max_completion_tokens ?? body.max_tokens ?? Infinity;
export const tokensOf = (turn) => fullAnswer(turn).slice(0, tokenLimit(turn));
const finishOf = (turn, tokens) => (fullAnswer(turn).length > tokens.length ? 'length' : turn.scenario.finishReason);

const promptTokensOf = (body) =>
  [body.system, ...(body.messages ?? []).map((message) => message.content)].reduce((sum, content) => sum + cut(textOf(content)).length, 0);

export function send(response, status, type, body, headers = {}) {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}

export const json = (response, status, body, headers) => send(response, status, 'application/json', JSON.stringify(body), headers);

// ---- OpenAI's chat completions --------------------------------------------------------------------------

const dataEvent = (data) => `data: ${JSON.stringify(data)}\n\n`;
const now = () => Math.floor(Date.now() / 1000);

const completion = ({ entry, body }, object, choices) =>
  ({ id: `chatcmpl-${entry.id}`, object, created: now(), model: body.model, choices });
const chunk = (turn, delta, finish_reason) => completion(turn, 'chat.completion.chunk', [{ index: 0, delta, finish_reason }]);

function completionUsage({ body }, completion_tokens) {
  const prompt_tokens = promptTokensOf(body);
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

export const openai = {
  complaint: () => undefined,
  error: (response, status, code, message, headers) =>
    json(response, status, { error: { message, type: code, param: null, code } }, headers),
  whole(turn, tokens) {
    const message = { role: 'assistant', content: tokens.join('') };
    const whole = completion(turn, 'chat.completion', [{ index: 0, message, finish_reason: finishOf(turn, tokens) }]);
    return turn.scenario.usage ? { ...whole, usage: completionUsage(turn, tokens.length) } : whole;
  },
  opening: () => '',
  token: (turn, content) => dataEvent(chunk(turn, { content }, null)),
  ending(turn, tokens) {
    const { scenario, body } = turn;
    let events = '';
    if (scenario.fault !== 'no-finish-reason') events += dataEvent(chunk(turn, {}, finishOf(turn, tokens)));
    if (scenario.usage && body.stream_options?.include_usage) {
      events += dataEvent({ ...chunk(turn, {}, null), choices: [], usage: completionUsage(turn, tokens.length) });
    }
    return scenario.fault === 'no-done' ? events : `${events}data: [DONE]\n\n`;
  },
  errorEvent: () => dataEvent({ error: { message: 'The server had an error.', type: 'server_error' } }) + 'data: [DONE]\n\n',
};

// ---- Anthropic's messages ---------------------------------------------------------------------------------

const typedEvent = (data) => `event: ${data.type}\n${dataEvent(data)}`;

const STOP_REASONS = { stop: 'end_turn', length: 'max_tokens', content_filter: 'refusal' };
const stopReasonOf = (turn, tokens) => STOP_REASONS[finishOf(turn, tokens)] ?? finishOf(turn, tokens);

const ERROR_TYPES = {
  400: 'invalid_request_error', 401: 'authentication_error', 402: 'billing_error', 403: 'permission_error', 404: 'not_found_error',
  413: 'request_too_large', 429: 'rate_limit_error', 504: 'timeout_error', 529: 'overloaded_error',
};

const message = ({ entry, body }, more) =>
  ({ id: `msg_${entry.id}`, type: 'message', role: 'assistant', model: body.model, stop_sequence: null, ...more });

export const anthropic = {
  complaint(body) {
    if (!(body.max_tokens >= 1)) return 'max_tokens: Field required';
    if (body.temperature > 1) return 'temperature: range: 0..1';
    const roles = (body.messages ?? []).map(({ role }) => role);
    if (roles[0] !== 'user') return 'messages: the first message must use the "user" role';
    if (roles.some((role) => role !== 'user' && role !== 'assistant')) return 'messages: unexpected role';
    if (roles.some((role, i) => role === roles[i - 1])) return 'messages: roles must alternate';
    return undefined;
  },
  error: (response, status, code, text, headers) =>
    json(response, status, { type: 'error', error: { type: ERROR_TYPES[status] ?? 'api_error', message: text } }, headers),
  whole(turn, tokens) {
    const whole = message(turn, { content: [{ type: 'text', text: tokens.join('') }], stop_reason: stopReasonOf(turn, tokens) });
    return turn.scenario.usage ? { ...whole, usage: { input_tokens: promptTokensOf(turn.body), output_tokens: tokens.length } } : whole;
  },
  opening(turn) {
    const start = message(turn, { content: [], stop_reason: null });
    if (turn.scenario.usage) start.usage = { input_tokens: promptTokensOf(turn.body), output_tokens: 1 };
    return typedEvent({ type: 'message_start', message: start })
      + typedEvent({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
      + typedEvent({ type: 'ping' });
  },
  token: (turn, text) => typedEvent({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
  ending(turn, tokens) {
    const { scenario } = turn;
    const end = { type: 'message_delta', delta: { stop_reason: null, stop_sequence: null } };
    if (scenario.fault !== 'no-finish-reason') end.delta.stop_reason = stopReasonOf(turn, tokens);
    if (scenario.usage) end.usage = { output_tokens: tokens.length };
    const events = typedEvent({ type: 'content_block_stop', index: 0 }) + typedEvent(end);
    return scenario.fault === 'no-done' ? events : events + typedEvent({ type: 'message_stop' });
  },
  errorEvent: () => typedEvent({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
};
