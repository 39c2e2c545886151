// Starts the real binaries on free ports with a data folder of their own, and speaks to them over REST and over gRPC.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, '../..');
export const bin = process.env.AIB_BIN ?? path.join(root, 'build/dev/bin');
const googleapis =
  '/usr/share/gocode/src/github.com/grpc-ecosystem/grpc-gateway/third_party/googleapis';

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Asks until `probe` gives something truthy, or fails with what `describe` says.
export async function eventually(probe, describe = 'condition', timeoutMs = 60_000) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${describe}`);
    await pause(25);
  }
}

export class Process {
  constructor(program, args, env) {
    this.log = '';
    this.child = spawn(path.join(bin, program), args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = new Promise((resolve) => {
      this.child.on('exit', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (data) => (this.log += data));
    }
  }
  async stop(signal = 'SIGTERM') {
    if (!this.exit) this.child.kill(signal);
    return this.exited;
  }
}

export class Stack {
  headers = {}; // of every JSON request

  // `config` is the text of the TOML file of both, if there is one.
  static async start(env = {}, config = '') {
    const stack = new Stack();
    stack.dataDir = await mkdtemp(path.join(os.tmpdir(), 'aib-api-'));
    const file = path.join(stack.dataDir, 'aibackend.toml');
    if (config) await writeFile(file, config);
    const [serverPort, gatewayPort] = [await freePort(), await freePort()];
    stack.target = `127.0.0.1:${serverPort}`;
    stack.url = `http://127.0.0.1:${gatewayPort}`;
    stack.gatewayPort = gatewayPort;
    stack.env = {
      AIB_SERVER_LISTEN: stack.target,
      AIB_SERVERS: stack.target,
      AIB_GATEWAY_LISTEN: `127.0.0.1:${gatewayPort}`,
      AIB_DATA_DIR: stack.dataDir,
      AIB_SEED_EMPTY: 'true',
      ...(config ? { AIB_CONFIG: file } : {}),
      ...env,
    };
    if (env.AIB_ADMIN_KEY) stack.headers = { authorization: `Bearer ${env.AIB_ADMIN_KEY}` };
    try {
      await stack.startServer();
      stack.gateway = new Process('aibackend-gateway', [], stack.env);
      await stack.ready();
    } catch (error) {
      await Promise.all([stack.server, stack.gateway].map((process) => process?.stop('SIGKILL')));
      await rm(stack.dataDir, { recursive: true, force: true });
      throw error;
    }
    return stack;
  }

  async startServer() {
    this.server = new Process('aibackend-server', [], this.env);
  }

  async ready() {
    await eventually(async () => {
      for (const process of [this.server, this.gateway]) {
        if (process.exit) throw new Error(`ended before it was ready: ${process.log}`);
      }
      return (await fetch(`${this.url}/ready`).catch(() => null))?.ok;
    }, `ready: ${this.server.log} ${this.gateway?.log}`);
  }

  // Ends both; throws if either did not leave cleanly (a crash, a sanitizer's report).
  async stop() {
    this.client?.close();
    const ends = [await this.gateway.stop(), await this.server.stop()];
    await rm(this.dataDir, { recursive: true, force: true });
    ends.forEach(({ code }, i) => {
      if (code !== 0) throw new Error(`ended with ${code}: ${[this.gateway, this.server][i].log.slice(-4000)}`);
    });
  }

  async fetch(target, options) {
    return fetch(this.url + target, options);
  }

  // {status, headers, body} of a JSON answer.
  async json(method, target, body, headers = {}) {
    const response = await fetch(this.url + target, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...this.headers, ...headers },
      body: body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
  }

  // The generated-stub client of another team: grpc-js over the proto files.
  grpc() {
    if (!this.client) {
      const definition = protoLoader.loadSync('aibackend/v1/aibackend.proto', {
        includeDirs: [path.join(root, 'proto'), googleapis],
        keepCase: true,
        longs: String,
        enums: String,
        defaults: true,
        oneofs: true,
      });
      const { AiBackend, AiBackendAdmin } = grpc.loadPackageDefinition(definition).aibackend.v1;
      this.client = new AiBackend(this.target, grpc.credentials.createInsecure());
      this.client.admin = new AiBackendAdmin(this.target, grpc.credentials.createInsecure());
    }
    return this.client;
  }

  // The newest ledger rows, once `condition` holds for one of them.
  async ledgerRow(condition) {
    return eventually(async () => {
      const { body } = await this.json('GET', '/v1/usage?page_size=1000');
      return body.requests.find(condition);
    }, `ledger row ${condition}`, 10_000);
  }
}

// A caught gRPC or REST failure in one shape, so that one test body can assert on both. `deltas` are what a stream had sent.
function failure(code, reason, field, deltas = []) {
  return Object.assign(new Error(`${code} ${reason} ${field}`), { code, reason, field, deltas });
}

// Decodes google.rpc.Status far enough for ErrorInfo.reason and BadRequest.field: walks length-delimited fields.
function* fieldsOf(buffer) {
  let at = 0;
  const varint = () => {
    let value = 0, shift = 0, byte;
    do {
      byte = buffer[at++];
      value += (byte & 0x7f) * 2 ** shift;
      shift += 7;
    } while (byte & 0x80);
    return value;
  };
  while (at < buffer.length) {
    const key = varint();
    if ((key & 7) === 0) yield [key >> 3, varint()];
    else if ((key & 7) === 2) {
      const length = varint();
      yield [key >> 3, buffer.subarray(at, at + length)];
      at += length;
    } else throw new Error('unexpected wire type');
  }
}

export function detailsOf(metadata) {
  const found = { reason: '', field: '' };
  const [bin] = metadata.get('grpc-status-details-bin');
  if (!bin) return found;
  for (const [number, any] of fieldsOf(bin)) {
    if (number !== 3) continue;
    const parts = Object.fromEntries(fieldsOf(any));
    const type = String(parts[1]);
    if (type.endsWith('ErrorInfo')) found.reason = String(Object.fromEntries(fieldsOf(parts[2]))[1]);
    if (type.endsWith('BadRequest')) {
      const violation = Object.fromEntries(fieldsOf(parts[2]))[1];
      found.field = String(Object.fromEntries(fieldsOf(violation))[1]);
    }
  }
  return found;
}

// A unary call over gRPC, by its RPC's name.
export const grpcCall = (stack, rpc, request) =>
  new Promise((resolve, reject) => {
    stack.grpc()[rpc](request, (error, response) => {
      if (!error) return resolve(response);
      const { reason, field } = detailsOf(error.metadata);
      reject(failure(grpc.status[error.code], reason, field));
    });
  });

// The same calls over both transports.
export const transports = {
  grpc: {
    chat: (stack, request, headers = {}) =>
      new Promise((resolve, reject) => {
        const metadata = new grpc.Metadata();
        Object.entries(headers).forEach(([k, v]) => metadata.set(k, v));
        stack.grpc().Chat(request, metadata, (error, response) => {
          if (!error) return resolve(response);
          const { reason, field } = detailsOf(error.metadata);
          reject(failure(grpc.status[error.code], reason, field));
        });
      }),
    stream: (stack, request) =>
      new Promise((resolve, reject) => {
        const deltas = [];
        let done = null;
        const call = stack.grpc().ChatStream(request);
        call.on('data', (event) => {
          if (event.event === 'delta') deltas.push(event.delta);
          if (event.event === 'done') done = event.done;
        });
        call.on('error', (error) => {
          const { reason, field } = detailsOf(error.metadata);
          reject(failure(grpc.status[error.code], reason, field, deltas));
        });
        call.on('end', () => resolve({ deltas, done }));
      }),
    retrieve: (stack, request) =>
      new Promise((resolve, reject) => {
        stack.grpc().Retrieve(request, (error, response) => {
          if (!error) return resolve(response);
          const { reason, field } = detailsOf(error.metadata);
          reject(failure(grpc.status[error.code], reason, field));
        });
      }),
  },
  rest: {
    chat: async (stack, request, headers = {}) => {
      const { status, body } = await stack.json('POST', '/v1/chat', request, headers);
      if (status !== 200) throw failure(body.error.code, body.error.reason, body.error.field);
      return body;
    },
    stream: async (stack, request) => {
      const response = await stack.fetch('/v1/chat/stream', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(request),
      });
      if (response.status !== 200) {
        const { error } = await response.json();
        throw failure(error.code, error.reason, error.field);
      }
      const events = parseSse(await response.text());
      const last = events.pop();
      const deltas = events.map((event) => event.data.delta).filter((delta) => delta !== undefined);
      if (last.event !== 'done') throw failure(last.data.error.code, last.data.error.reason, last.data.error.field, deltas);
      return { deltas, done: last.data };
    },
    retrieve: async (stack, request) => {
      const { status, body } = await stack.json('GET', `/v1/retrieve?${new URLSearchParams(request)}`);
      if (status !== 200) throw failure(body.error.code, body.error.reason, body.error.field);
      return body;
    },
  },
};

// Whole SSE text → [{id, event, data}].
export function parseSse(text) {
  return text
    .split('\n\n')
    .filter((block) => block && !block.startsWith(':'))
    .map((block) => {
      const fields = Object.fromEntries(
        block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      );
      return { id: fields.id, event: fields.event ?? 'message', data: JSON.parse(fields.data) };
    });
}

export const ask = (content, more = {}) => ({ messages: [{ role: 'user', content }], ...more });
