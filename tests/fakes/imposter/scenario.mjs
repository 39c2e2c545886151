// What a scenario may say, and where a request finds its own.

// Everything a scenario may say, and what holds when it doesn't.
export const DEFAULTS = {
  fault: 'none',
  requireKey: '', // another API key is refused
  retryAfter: '2', // seconds, of fault "rate-limit"
  firstTokenDelayMs: 0,
  tokenDelayMs: 0,
  tokens: 0, // so many instead of an echo; 0: echo
  answer: '', // this instead of an echo
  reasoning: '', // thought before the answer
  toolCall: false, // call a tool, where the request offers one
  toolCalls: 1, // so many
  toolPieceBytes: 8, // of a tool's arguments at a time
  dimensions: 8, // of embeddings, where the request doesn't say
  cachedTokens: 0, // of the prompt's
  afterTokens: 3, // where a fault of the stream strikes
  lineBytes: 8 * 1024 * 1024, // of fault "huge-line"
  usage: true,
  finishReason: 'stop', // as OpenAI calls it; Anthropic's word for it there
};

// And "http-NNN": that status, with an error object.
const FAULTS = [
  'none',
  'rate-limit', // 429 with Retry-After
  'html', // 200 with a web page
  'wrong-content-type', // 200 with text/plain that is no JSON
  'empty', // 200 with nothing in it
  'reset-before-headers', // RST before a byte of the answer
  'never', // takes the request, says nothing
  'headers-only', // 200, and then nothing
  'reset-mid-stream', // RST after some tokens
  'cut-mid-stream', // the connection closes inside the chunked body
  'end-mid-stream', // the response ends well-framed, without finish reason and end mark
  'tool-cut', // the same, in the middle of a tool's arguments
  'half-event', // half an SSE event, then a well-framed end
  'no-done', // all tokens and the finish reason, no end mark
  'no-finish-reason', // all tokens and the end mark, no finish reason
  'duplicate-done', // the end mark twice
  'huge-line', // one data line of lineBytes
  'bad-json', // a chunk that is no JSON
  'error-mid-stream', // an error object among the chunks
  'stall-mid-stream', // some tokens, then silence
];

export const statusOf = (fault) => Number(/^http-([45]\d\d)$/.exec(fault)?.[1] ?? 0);

export class BadScenario extends Error {}

export function checkedScenario(given) {
  for (const [key, value] of Object.entries(given)) {
    if (!(key in DEFAULTS)) throw new BadScenario(`unknown field ${key}`);
    if (typeof value !== typeof DEFAULTS[key]) throw new BadScenario(`${key} is no ${typeof DEFAULTS[key]}`);
  }
  const { fault } = given;
  if (fault !== undefined && !FAULTS.includes(fault) && !statusOf(fault)) throw new BadScenario(`unknown fault ${fault}`);
  return given;
}

// A model's name may carry a scenario: "imposter?fault=never" or "x?tokens=50&tokenDelayMs=10".
export function scenarioOfModel(model) {
  const query = typeof model === 'string' ? model.split('?')[1] : undefined;
  const given = {};
  for (const [key, value] of new URLSearchParams(query ?? '')) {
    const kind = typeof DEFAULTS[key];
    given[key] = kind === 'number' ? Number(value) : kind === 'boolean' ? value === 'true' : value;
  }
  return checkedScenario(given);
}
