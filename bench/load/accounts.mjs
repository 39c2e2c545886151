// What accounts cost: the same load with keys, limits, ledger and metrics on and off, two stacks in one run, by turns. Prints a markdown table.
// Part of scripts/bench.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { createKey } from '../../tests/api/accounts.mjs';
import { freePort, Stack } from '../../tests/api/stack.mjs';
import { cpuOf } from './measure.mjs';

const ROUNDS = Number(process.env.AIB_BENCH_ROUNDS ?? 7);
const SECONDS = Number(process.env.AIB_BENCH_SECONDS ?? 3);
const CALLERS = 32;
const ADMIN_KEY = 'admin-key-of-the-bench';

// A model server that says the same at once: what is measured is what stands before it.
const answer = JSON.stringify({
  id: 'x', object: 'chat.completion', created: 0, model: 'm', usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 },
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'A short answer of words.' } }],
});
const upstream = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer);
}).listen(0, '127.0.0.1');
await once(upstream, 'listening');

async function start(on) {
  const config = `[models.paid]
base_url = "http://127.0.0.1:${upstream.address().port}/v1"
price = { input = 1, output = 2 }
${on ? '[limits.tenant]\nrequests_per_minute = 100000000\ntokens_per_minute = 1000000000000\n' : ''}`;
  const common = { AIB_LOG_LEVEL: 'warn', AIB_WORDS_PER_SECOND: '0', AIB_CACHE: 'off' };
  const env = on
    ? { AIB_ADMIN_KEY: ADMIN_KEY, AIB_SERVER_METRICS_LISTEN: `127.0.0.1:${await freePort()}` }
    : { AIB_LEDGER: 'off', AIB_LIMITS: 'off' };
  const stack = await Stack.start({ ...common, ...env }, config);
  stack.key = on ? await createKey(stack, {
    limits: { requests_per_minute: '100000000', tokens_per_minute: '1000000000000', tokens_per_day: '1000000000000', nano_usd_per_month: '1000000000000000', concurrent: 1000 },
  }) : null;
  return stack;
}

// {rate, p50 in µs, cpu in µs a request}
async function load(stack, target, body) {
  const script = path.join(stack.dataDir, 'wrk.lua');
  writeFileSync(script, [
    body ? `wrk.method = "POST"\nwrk.body = ${JSON.stringify(JSON.stringify(body))}\nwrk.headers["Content-Type"] = "application/json"` : '',
    stack.key ? `wrk.headers["Authorization"] = "Bearer ${stack.key.key}"` : '',
    'done = function(s, l) io.write(string.format("RESULT %d %d %d %d\\n", s.requests, s.duration, l:percentile(50), s.errors.status)) end',
  ].join('\n'));
  const before = cpuOf(stack);
  const { stdout: text } = await promisify(execFile)('wrk', ['-t1', `-c${CALLERS}`, `-d${SECONDS}s`, '-s', script, stack.url + target]);
  const cpu = cpuOf(stack).reduce((sum, now, i) => sum + now - before[i], 0);
  const [requests, duration, p50, errors] = /RESULT (\d+) (\d+) (\d+) (\d+)/.exec(text).slice(1).map(Number);
  if (errors) throw new Error(`${errors} errors at ${target}`);
  return { rate: requests / (duration / 1e6), p50, cpu: (cpu / requests) * 1e6 };
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

const [off, on] = [await start(false), await start(true)];
console.log('| 32 callers, REST | off: requests/s, p50, CPU of both | on | throughput | p50 | CPU |\n|---|---|---|---|---|---|');
for (const [what, target, body] of [
  ['POST /v1/chat, a model server behind it', '/v1/chat', { prompt: 'What is it?', model: 'paid', retrieval: { enabled: false } }],
  ['POST /v1/chat, the embedded answerer', '/v1/chat', { prompt: 'What is FastAPI?', model: 'extractive' }],
  ['GET /v1/retrieve, lexical', '/v1/retrieve?query=rate+limits&mode=lexical&top_k=3', null],
]) {
  const runs = { off: [], on: [] };
  await load(off, target, body);
  await load(on, target, body);
  for (let i = 0; i < ROUNDS; i++) {
    for (const [name, stack] of i % 2 ? [['on', on], ['off', off]] : [['off', off], ['on', on]]) runs[name].push(await load(stack, target, body));
  }
  const of = (name, field) => median(runs[name].map((run) => run[field]));
  const said = (name) => `${of(name, 'rate').toFixed(0)}/s, ${(of(name, 'p50') / 1000).toFixed(2)} ms, ${of(name, 'cpu').toFixed(0)} µs`;
  // The ratio of neighbours in time, since the machine drifts.
  const ratio = (field) => median(runs.on.map((run, i) => run[field] / runs.off[i][field]));
  const percent = (field) => `${((ratio(field) - 1) * 100).toFixed(1).replace(/^(?!-)/, '+')} %`;
  console.log(`| ${what} | ${said('off')} | ${said('on')} | ${percent('rate')} | ${percent('p50')} | ${percent('cpu')} |`);
}
await Promise.all([on.stop(), off.stop()]);
upstream.close();
