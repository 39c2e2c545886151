// A fake upstream that speaks OpenAI's chat completions and Anthropic's messages, and does on demand
// what real ones do on bad days. How to drive it: tests/fakes/README.md. Plain Node (18 or newer), no dependencies.
import { realpathSync } from 'node:fs';
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { anthropic, json, openai, send, tokensOf } from './dialects.mjs';

const BODY_BYTES_MAX = 64 * 1024 * 1024;
const LOG_ENTRIES_MAX = 10_000;

// Everything a scenario may say, and what holds when it doesn't.
const DEFAULTS = {
  fault: 'none',
  retryAfter: '2', // seconds, of fault "rate-limit"
  firstTokenDelayMs: 0,
  tokenDelayMs: 0,
  tokens: 0, // so many instead of an echo; 0: echo
  answer: '', // this instead of an echo
  afterTokens: 3, // where a fault of the stream strikes
  lineBytes: 8 * 1024 * 1024, // of fault "huge-line"
  usage: true,
  finishReason: 'stop', // as OpenAI calls it; Anthropic's word for it there
};

// And "http-NNN": that status, with an error object.
const FAULTS = [
  'none',
  'rate-limit', // 429 with Retry-After
  'reset-before-headers', // RST before a byte of the answer
  'reset-mid-stream', // RST after some tokens
  'cut-mid-stream', // the connection closes inside the chunked body
  'end-mid-stream', // the response ends well-framed, without finish reason and end mark
  'half-event', // half an SSE event, then a well-framed end
  'no-done', // all tokens and the finish reason, no end mark
  'no-finish-reason', // all tokens and the end mark, no finish reason
  'huge-line', // one data line of lineBytes
  'html', // 200 with a web page
  'bad-json', // a chunk that is no JSON
  'error-mid-stream', // an error object among the chunks
  'never', // takes the request, says nothing
  'headers-only', // 200, and then nothing
  'stall-mid-stream', // some tokens, then silence
];

const statusOf = (fault) => Number(/^http-([45]\d\d)$/.exec(fault)?.[1] ?? 0);

class BadScenario extends Error {}

function checkedScenario(given) {
  for (const [key, value] of Object.entries(given)) {
    if (!(key in DEFAULTS)) throw new BadScenario(`unknown field ${key}`);
    if (typeof value !== typeof DEFAULTS[key]) throw new BadScenario(`${key} is no ${typeof DEFAULTS[key]}`);
  }
  const { fault } = given;
  if (fault !== undefined && !FAULTS.includes(fault) && !statusOf(fault)) throw new BadScenario(`unknown fault ${fault}`);
  return given;
}

// A model's name may carry a scenario: "imposter?fault=never" or "x?tokens=50&tokenDelayMs=10".
function scenarioOfModel(model) {
  const query = typeof model === 'string' ? model.split('?')[1] : undefined;
  const given = {};
  for (const [key, value] of new URLSearchParams(query ?? '')) {
    const kind = typeof DEFAULTS[key];
    given[key] = kind === 'number' ? Number(value) : kind === 'boolean' ? value === 'true' : value;
  }
  return checkedScenario(given);
}

export class Imposter {
  #scenario = { ...DEFAULTS };
  #queue = []; // scenarios for the next requests, one each
  #log = [];
  #sockets = new Set();
  #server = http.createServer((request, response) => this.#serve(request, response));
  #nextId = 1;
  #answering = 0;

  async listen(port = 0, host = '127.0.0.1') {
    this.#server.on('connection', (socket) => {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.keepAliveTimeout = 60_000;
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, backlog: 4096 }, resolve);
    });
    return this.#server.address().port;
  }

  async close() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request, response) {
    try {
      const path = request.url.split('?')[0];
      const route = `${request.method} ${path}`;
      if (route === 'POST /control') return await this.#control(request, response);
      if (route === 'GET /control/log') return json(response, 200, this.#report());
      if (route === 'DELETE /control') return this.#reset(response);
      if (path.endsWith('/models') && request.method === 'GET') return models(response);
      if (path.endsWith('/chat/completions') && request.method === 'POST') return await this.#chat(request, response, openai);
      if (path.endsWith('/messages') && request.method === 'POST') return await this.#chat(request, response, anthropic);
      openai.error(response, 404, 'not_found', `no route ${route}`);
    } catch (failure) {
      if (response.headersSent || response.destroyed) return response.destroy();
      const mine = failure instanceof BadScenario || failure instanceof SyntaxError;
      openai.error(response, mine ? 400 : 500, 'invalid_request_error', failure.message);
    }
  }

  async #control(request, response) {
    const { next, scenario, ...bare } = JSON.parse(await readBody(request));
    if (next === undefined || scenario !== undefined) {
      this.#scenario = { ...DEFAULTS, ...checkedScenario(scenario ?? bare) };
    }
    this.#queue = (next ?? []).map(checkedScenario);
    json(response, 200, { scenario: this.#scenario, next: this.#queue });
  }

  #reset(response) {
    this.#scenario = { ...DEFAULTS };
    this.#queue = [];
    this.#log = [];
    json(response, 200, {});
  }

  #report() {
    const disconnects = this.#log.filter(({ ended }) => ended === 'client_gone').map(({ id, ended_at }) => ({ id, at: ended_at }));
    return { open_connections: this.#sockets.size, answering: this.#answering, disconnects, requests: this.#log };
  }

  async #chat(request, response, dialect) {
    const entry = { id: this.#nextId++, received_at: Date.now(), headers: request.headers, tokens_sent: 0, ended: null };
    this.#log.push(entry);
    if (this.#log.length > LOG_ENTRIES_MAX) this.#log.shift();
    this.#answering++;
    const gone = new AbortController();
    response.on('close', () => {
      this.#answering--;
      entry.ended_at = Date.now();
      entry.ended ??= response.writableFinished ? 'complete' : 'client_gone';
      gone.abort();
    });
    const body = JSON.parse(await readBody(request));
    entry.body = body;
    const header = request.headers['x-imposter-scenario'];
    const turn = {
      request, response, dialect, entry, body, gone: gone.signal,
      scenario: {
        ...this.#scenario,
        ...this.#queue.shift(),
        ...scenarioOfModel(body.model),
        ...checkedScenario(header ? JSON.parse(header) : {}),
      },
    };
    try {
      await answer(turn);
    } catch (failure) {
      if (failure.name !== 'AbortError') throw failure;
    }
  }
}

// ---- one answer -----------------------------------------------------------------------------------

async function answer(turn) {
  const { scenario, response, dialect, body } = turn;
  const complaint = dialect.complaint(body);
  if (complaint) return dialect.error(response, 400, 'invalid_request_error', complaint);
  if (await failInstead(turn)) return;
  if (scenario.firstTokenDelayMs > 0) await delay(scenario.firstTokenDelayMs, undefined, { signal: turn.gone });
  const tokens = tokensOf(turn);
  if (body.stream) return await stream(turn, tokens);
  if (scenario.tokenDelayMs > 0) await delay(scenario.tokenDelayMs * tokens.length, undefined, { signal: turn.gone });
  turn.entry.tokens_sent = tokens.length;
  const text = JSON.stringify(dialect.whole(turn, tokens));
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
  const { scenario, response, dialect, entry } = turn;
  if (statusOf(scenario.fault)) {
    dialect.error(response, statusOf(scenario.fault), 'server_error', `This is a ${scenario.fault}.`);
    return true;
  }
  switch (scenario.fault) {
    case 'rate-limit':
      dialect.error(response, 429, 'rate_limit_exceeded', 'Rate limit reached.', { 'retry-after': scenario.retryAfter });
      return true;
    case 'html':
      send(response, 200, 'text/html; charset=utf-8', '<!doctype html><title>Welcome</title><p>Please log in.');
      return true;
    case 'reset-before-headers':
      entry.ended = 'reset';
      response.socket.resetAndDestroy();
      return true;
    case 'never':
      await forEver(turn);
      return true;
    case 'headers-only':
      response.writeHead(200, { 'content-type': turn.body.stream ? 'text/event-stream' : 'application/json' });
      response.flushHeaders();
      await forEver(turn);
      return true;
    default:
      return false;
  }
}

async function stream(turn, tokens) {
  const { scenario, response, dialect, entry } = turn;
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  response.write(dialect.opening(turn));
  const strikes = STREAM_FAULTS[scenario.fault];
  for (const [i, token] of tokens.entries()) {
    if (strikes && i === scenario.afterTokens) return await strikes(turn);
    if (i > 0 && scenario.tokenDelayMs > 0) await delay(scenario.tokenDelayMs, undefined, { signal: turn.gone });
    const flowing = response.write(dialect.token(turn, token));
    entry.tokens_sent++;
    if (!flowing) await drained(turn);
  }
  if (strikes) return await strikes(turn); // an answer of fewer tokens than afterTokens fails too
  response.write(dialect.ending(turn, tokens));
  response.end();
}

const STREAM_FAULTS = {
  'reset-mid-stream': (turn) => breakOff(turn, true),
  'cut-mid-stream': (turn) => breakOff(turn, false),
  'end-mid-stream': (turn) => turn.response.end(),
  'half-event': (turn) => turn.response.end(turn.dialect.token(turn, 'never seen').slice(0, 40)),
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

// ---- HTTP ----------------------------------------------------------------------------------------------

const models = (response) =>
  json(response, 200, { object: 'list', data: [{ id: 'imposter', object: 'model', created: 0, owned_by: 'tests' }] });

async function readBody(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > BODY_BYTES_MAX) throw new SyntaxError('the body is too large');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

// ---- as a program ---------------------------------------------------------------------------------------

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  const flag = process.argv.indexOf('--port');
  const port = await new Imposter().listen(flag < 0 ? 0 : Number(process.argv[flag + 1]));
  console.log(JSON.stringify({ port }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
}
