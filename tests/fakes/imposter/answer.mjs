// One answer, and everything that can go wrong with it.
import { setTimeout as delay } from 'node:timers/promises';
import { send } from './http.mjs';
import { planOf } from './plan.mjs';
import { statusOf } from './scenario.mjs';

// Answers `turn`: {scenario, request, response, dialect, entry, body, gone}.
export async function answer(turn) {
  const { scenario, request, response, dialect, body } = turn;
  if (scenario.requireKey !== '' && keyOf(request.headers) !== scenario.requireKey) return dialect.wrongKey(response);
  const complaint = dialect.complaint(body);
  if (complaint) return dialect.error(response, 400, 'invalid_request_error', complaint);
  if (await failInstead(turn)) return;
  if (scenario.firstTokenDelayMs > 0) await delay(scenario.firstTokenDelayMs, undefined, { signal: turn.gone });
  turn.plan = dialect.conversation ? planOf(dialect.conversation(body), scenario) : { steps: [] };
  if (body.stream && dialect.conversation) return await stream(turn);
  await whole(turn);
}

const keyOf = (headers) => headers['x-api-key'] ?? headers.authorization?.replace(/^Bearer /, '');

async function whole(turn) {
  const { scenario, response, dialect, plan } = turn;
  if (scenario.tokenDelayMs > 0) await delay(scenario.tokenDelayMs * plan.steps.length, undefined, { signal: turn.gone });
  turn.entry.tokens_sent = plan.steps.length;
  const text = JSON.stringify(dialect.whole(turn));
  if (scenario.fault === 'bad-json') return send(response, 200, 'application/json', text.slice(0, -5));
  if (scenario.fault === 'cut-mid-stream' || scenario.fault === 'reset-mid-stream') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.write(text.slice(0, text.length / 2));
    return breakOff(turn, scenario.fault === 'reset-mid-stream');
  }
  send(response, 200, 'application/json', text);
}

// Faults that strike before a token, of whole and streamed answers alike.
async function failInstead(turn) {
  const { scenario, response, dialect, entry, body } = turn;
  if (statusOf(scenario.fault)) {
    dialect.error(response, statusOf(scenario.fault), 'server_error', `This is a ${scenario.fault}.`);
    return true;
  }
  const type = body.stream && dialect.conversation ? 'text/event-stream' : 'application/json';
  switch (scenario.fault) {
    case 'rate-limit':
      dialect.error(response, 429, 'rate_limit_exceeded', 'Rate limit reached.', { 'retry-after': scenario.retryAfter });
      return true;
    case 'html':
      send(response, 200, 'text/html; charset=utf-8', '<!doctype html><title>Welcome</title><p>Please log in.');
      return true;
    case 'wrong-content-type':
      send(response, 200, 'text/plain; charset=utf-8', 'upstream says hello\n');
      return true;
    case 'empty':
      send(response, 200, type, '');
      return true;
    case 'reset-before-headers':
      entry.ended = 'reset';
      response.socket.resetAndDestroy();
      return true;
    case 'never':
      await forEver(turn);
      return true;
    case 'headers-only':
      response.writeHead(200, { 'content-type': type });
      response.flushHeaders();
      await forEver(turn);
      return true;
    default:
      return false;
  }
}

async function stream(turn) {
  const { scenario, response, dialect, entry, plan } = turn;
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  response.write(dialect.opening(turn));
  const strikes = STREAM_FAULTS[scenario.fault];
  const place = scenario.fault === 'tool-cut' ? middleOfArguments(plan.steps) : scenario.afterTokens;
  for (const [i, step] of plan.steps.entries()) {
    if (strikes && i === place) return await strikes(turn);
    if (i > 0 && scenario.tokenDelayMs > 0) await delay(scenario.tokenDelayMs, undefined, { signal: turn.gone });
    const flowing = response.write(dialect.step(turn, step));
    entry.tokens_sent++;
    if (!flowing) await drained(turn);
  }
  if (strikes) return await strikes(turn); // an answer of fewer tokens than that fails too
  response.write(dialect.ending(turn));
  response.end();
}

function middleOfArguments(steps) {
  const pieces = steps.flatMap(({ call }, i) => (call?.arguments === undefined ? [] : [i]));
  return pieces[Math.ceil(pieces.length / 2)] ?? steps.length;
}

const STREAM_FAULTS = {
  'reset-mid-stream': (turn) => breakOff(turn, true),
  'cut-mid-stream': (turn) => breakOff(turn, false),
  'end-mid-stream': (turn) => turn.response.end(),
  'tool-cut': (turn) => turn.response.end(),
  'half-event': (turn) => turn.response.end(turn.dialect.step(turn, { text: 'never seen' }).slice(0, 40)),
  'bad-json': (turn) => turn.response.end('data: {"choices":[{]}\n\n'),
  'error-mid-stream': (turn) => turn.response.end(turn.dialect.errorEvent()),
  'stall-mid-stream': forEver,
  'huge-line': async (turn) => {
    turn.response.write('data: ');
    for (let left = turn.scenario.lineBytes; left > 0; left -= 65536) {
      if (!turn.response.write('x'.repeat(Math.min(left, 65536)))) await drained(turn);
    }
    turn.response.end('\n\n');
  },
};

// Ends the connection once what was written has left, without ending the response.
function breakOff({ response, entry }, reset) {
  entry.ended = reset ? 'reset' : 'cut';
  const socket = response.socket;
  const end = () => (reset ? socket.resetAndDestroy() : socket.destroySoon());
  // Node writes what a response holds at the end of the tick.
  setImmediate(() => (socket.writableLength === 0 ? end() : socket.once('drain', end)));
}

function forEver({ gone }) {
  return new Promise((resolve) => {
    if (gone.aborted) resolve();
    else gone.addEventListener('abort', resolve, { once: true });
  });
}

function drained({ response, gone }) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(Object.assign(new Error('client gone'), { name: 'AbortError' }));
    if (gone.aborted) return stop();
    gone.addEventListener('abort', stop, { once: true });
    response.once('drain', () => {
      gone.removeEventListener('abort', stop);
      resolve();
    });
  });
}
