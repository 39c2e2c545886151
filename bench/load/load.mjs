// Loads the real binaries and prints one markdown table. Run by scripts/bench.
//
// CPU is read from /proc of both processes, as a share of one core; rates come from wrk; times of streams are taken here.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { ask, Stack } from '../../tests/api/stack.mjs';
import { cpuOf, memoryMb, percentile, printRows, row, seconds } from './measure.mjs';

async function idleConnections(stack, count) {
  const request = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n';
  const sockets = await Promise.all(Array.from({ length: count }, async () => {
    const socket = net.connect(stack.gatewayPort, '127.0.0.1');
    socket.write(request);
    await once(socket, 'data');
    return socket;
  }));
  const [before] = cpuOf(stack);
  const from = performance.now();
  await seconds(10);
  const share = ((cpuOf(stack)[0] - before) / ((performance.now() - from) / 1000)) * 100;
  row(`${count} idle keep-alive connections: gateway CPU`, `${share.toFixed(2)} % of a core`);
  row(`${count} idle keep-alive connections: gateway memory`, `${memoryMb(stack.gateway.child.pid).toFixed(0)} MB`);
  sockets.forEach((socket) => socket.destroy());
}

function wrk(stack, what, target, body) {
  const script = path.join(stack.dataDir, 'wrk.lua');
  writeFileSync(script, body
    ? `wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = ${JSON.stringify(JSON.stringify(body))}\n`
    : '');
  const before = cpuOf(stack);
  const text = execFileSync('wrk', ['-t1', '-c32', '-d8s', '--latency', '-s', script, stack.url + target], { encoding: 'utf8' });
  const after = cpuOf(stack);
  const requests = Number(/(\d+) requests in/.exec(text)[1]);
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)[1]);
  const [p50, p99] = ['50%', '99%'].map((p) => new RegExp(`${p}\\s+(\\S+)`).exec(text)[1]);
  const errors = /Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0;
  const micros = after.map((seconds, i) => ((seconds - before[i]) / requests) * 1e6);
  row(`${what}, 32 callers`, `${rate.toFixed(0)} requests/s, p50 ${p50}, p99 ${p99}, CPU gateway ${micros[0].toFixed(0)} µs + server ${micros[1].toFixed(0)} µs each${errors ? `, ${errors} ERRORS` : ''}`);
}

async function streams(stack, count) {
  const agent = new http.Agent({ maxSockets: Infinity });
  const before = cpuOf(stack);
  const from = performance.now();
  let events = 0;
  const gaps = [], firsts = [];
  const finished = (await Promise.all(Array.from({ length: count }, () =>
    new Promise((resolve) => {
      const started = performance.now();
      let last = 0, text = '';
      const request = http.request(`${stack.url}/chat/stream`, { method: 'POST', agent });
      request.on('error', () => resolve(false));
      request.on('response', (response) => {
        response.setEncoding('utf8');
        response.on('data', (data) => {
          const now = performance.now();
          if (last) gaps.push(now - last); else firsts.push(now - started);
          last = now;
          events += data.split('\n\n').length - 1;
          text = (text + data).slice(-2000);
        });
        response.on('end', () => resolve(text.includes('event: done')));
        response.on('error', () => resolve(false));
      });
      request.end(JSON.stringify(ask('How does retrieval-augmented generation work?')));
    })))).filter(Boolean).length;
  const elapsed = (performance.now() - from) / 1000;
  const used = cpuOf(stack).map((seconds, i) => seconds - before[i]);
  gaps.sort((a, b) => a - b);
  firsts.sort((a, b) => a - b);
  row(`${count} concurrent streams at 50 words/s: finished`, `${finished} of ${count} in ${elapsed.toFixed(1)} s`);
  row(`${count} concurrent streams: gap between pieces`, `p50 ${percentile(gaps, 0.5).toFixed(0)} ms, p99 ${percentile(gaps, 0.99).toFixed(0)} ms (the pace is 20 ms)`);
  row(`${count} concurrent streams: first piece`, `p50 ${percentile(firsts, 0.5).toFixed(0)} ms, p99 ${percentile(firsts, 0.99).toFixed(0)} ms`);
  row(`${count} concurrent streams: CPU an event`, `gateway ${((used[0] / events) * 1e6).toFixed(0)} µs + server ${((used[1] / events) * 1e6).toFixed(0)} µs`);
}

async function jobAnswers(stack) {
  const documents = Array.from({ length: 2000 }, (_, i) => ({
    id: `bench-${i}`, title: `Entry ${i}`,
    text: `Entry ${i} of the register describes device${i % 211} in hall${i % 17}, checked by team${i % 7} every ${i % 90} days.`,
  }));
  const started = performance.now();
  const { body: job } = await stack.json('POST', '/process', { params: { documents, collection: 'bench' } });
  const first = performance.now() - started;
  const times = [];
  let state = job;
  while (!['SUCCEEDED', 'FAILED'].includes(state.status)) {
    const from = performance.now();
    await stack.json('POST', '/process', { kind: 'analyze_usage' });
    times.push(performance.now() - from);
    ({ body: state } = await stack.json('GET', `/jobs/${job.job_id}`));
    await seconds(0.05);
  }
  times.sort((a, b) => a - b);
  row('POST /process with 2,000 documents', `answered in ${first.toFixed(0)} ms; ${state.status} after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  row('POST /process while it indexes', `p50 ${percentile(times, 0.5).toFixed(1)} ms, worst ${times.at(-1).toFixed(1)} ms of ${times.length}`);
}

const quiet = { AIB_LOG_LEVEL: 'warn' };
const stack = await Stack.start({ ...quiet, AIB_WORDS_PER_SECOND: '50' });
await idleConnections(stack, 2000);
wrk(stack, 'GET /health (the edge alone)', '/health');
wrk(stack, 'GET /v1/models (edge, gRPC hop)', '/v1/models');
wrk(stack, 'GET /retrieve (and the search)', '/retrieve?query=how+do+rate+limits+work');
wrk(stack, 'POST /chat (and the answer, a ledger row)', '/chat', ask('What is FastAPI?'));
await streams(stack, 1000);
await jobAnswers(stack);
await stack.stop();

printRows();
