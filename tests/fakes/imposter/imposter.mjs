// A fake upstream that speaks OpenAI's chat completions and embeddings and Anthropic's messages, and does on demand
// what real ones do on bad days. How to drive it: tests/fakes/README.md. Plain Node (18 or newer), no dependencies.
import { realpathSync } from 'node:fs';
import http from 'node:http';
import { pathToFileURL } from 'node:url';
import { answer } from './answer.mjs';
import { anthropic, countTokens } from './anthropic.mjs';
import { json, readBody } from './http.mjs';
import { embeddings, openai } from './openai.mjs';
import { BadScenario, checkedScenario, DEFAULTS, scenarioOfModel } from './scenario.mjs';

const LOG_ENTRIES_MAX = 10_000;

// By the end of the path: base URLs differ in what stands before it.
const DIALECTS = [
  ['/chat/completions', openai],
  ['/embeddings', embeddings],
  ['/messages', anthropic],
  ['/messages/count_tokens', countTokens],
];

export class Imposter {
  #scenario = { ...DEFAULTS };
  #queue = []; // scenarios for the next requests, one each
  #log = [];
  #sockets = new Map(); // each with the log entries of the requests that came on it
  #server = http.createServer((request, response) => this.#serve(request, response));
  #nextId = 1;
  #answering = 0;

  async listen(port = 0, host = '127.0.0.1') {
    this.#server.on('connection', (socket) => {
      socket.setNoDelay(true);
      this.#sockets.set(socket, []);
      socket.on('close', () => {
        for (const entry of this.#sockets.get(socket)) entry.closed_at = Date.now();
        this.#sockets.delete(socket);
      });
    });
    this.#server.keepAliveTimeout = 60_000;
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, backlog: 4096 }, resolve);
    });
    return this.#server.address().port;
  }

  async close() {
    for (const socket of this.#sockets.keys()) socket.destroy();
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
      const found = DIALECTS.find(([end]) => path.endsWith(end));
      if (found && request.method === 'POST') return await this.#ask(request, response, path, found[1]);
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
    const open = this.#log.filter(({ ended_at }) => ended_at === null).map(({ id }) => id);
    return { open_connections: this.#sockets.size, answering: this.#answering, open, disconnects, requests: this.#log };
  }

  #logged(request, path) {
    const entry = {
      id: this.#nextId++, path, received_at: Date.now(), headers: request.headers, tokens_sent: 0,
      ended: null, ended_at: null, closed_at: null,
    };
    this.#log.push(entry);
    if (this.#log.length > LOG_ENTRIES_MAX) this.#log.shift();
    this.#sockets.get(request.socket).push(entry);
    return entry;
  }

  async #ask(request, response, path, dialect) {
    const entry = this.#logged(request, path);
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
    const scenario = {
      ...this.#scenario,
      ...this.#queue.shift(),
      ...scenarioOfModel(body.model),
      ...checkedScenario(header ? JSON.parse(header) : {}),
    };
    try {
      await answer({ scenario, request, response, dialect, entry, body, gone: gone.signal });
    } catch (failure) {
      if (failure.name !== 'AbortError') throw failure;
    }
  }
}

const models = (response) =>
  json(response, 200, { object: 'list', data: [{ id: 'imposter', object: 'model', created: 0, owned_by: 'tests' }] });

// ---- as a program ---------------------------------------------------------------------------------------

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  const flag = process.argv.indexOf('--port');
  const port = await new Imposter().listen(flag < 0 ? 0 : Number(process.argv[flag + 1]));
  console.log(JSON.stringify({ port }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
}
