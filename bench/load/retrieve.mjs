// Vector search from the index to REST, beside numpy and FAISS's flat index, in one run: N texts of 256 dimensions, the best ten,
// 1 and 32 callers. Run by scripts/bench; AIB_BENCH_ROWS="10000 100000" says which sizes.
//
// Index, FAISS and numpy search random unit vectors. Retrieve searches texts of 50 words that are loaded, indexed and fitted, so a
// call has also its query analysed and embedded, its answer's texts sent (about 5 KB), and its row in the ledger. A load generator of
// one thread shares the cores.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { call, randomFrom } from '../../tests/api/made_documents.mjs';
import { bin, eventually, Stack } from '../../tests/api/stack.mjs';
import { cpuOf, memoryMb } from './measure.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const sizes = (process.env.AIB_BENCH_ROWS ?? '10000 100000').split(' ').map(Number);
const secondsEach = Number(process.env.AIB_BENCH_SECONDS ?? 4);
const note = (text) => console.error(text);
const run = (program, args, options = {}) => JSON.parse(execFileSync(program, args.map(String), { encoding: 'utf8', ...options }));
const micros = (seconds, count) => `${((seconds / count) * 1e6).toFixed(0)}`;

// --- Texts: words by Zipf's law, half of each text from the vocabulary of one of 200 topics.

const vocabulary = 60_000;
const random = randomFrom(20241120);
const zipf = (() => {
  const sums = new Float64Array(vocabulary);
  for (let i = 0, sum = 0; i < vocabulary; i += 1) sums[i] = sum += 1 / (i + 2.7) ** 1.05;
  return () => {
    const at = random() * sums[vocabulary - 1];
    let [low, high] = [0, vocabulary - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] < at) low = middle + 1; else high = middle;
    }
    return low;
  };
})();
const syllables = ['ba', 'ce', 'di', 'fo', 'gu', 'la', 'me', 'ni', 'po', 'ru', 'sa', 'te', 'vi', 'zo', 'ka', 'lo'];
const wordOf = (rank) => {
  let word = '';
  for (let rest = rank + 16; rest > 0; rest = rest >> 4) word += syllables[rest & 15];
  return word;
};
function makeText() {
  const topic = random.below(200);
  const words = Array.from({ length: 40 + random.below(21) }, (_, i) => wordOf(i % 2 ? zipf() : (zipf() * 211 + topic * 977) % vocabulary));
  return `${words.join(' ')}.`;
}

// --- The product

async function load(stack, count) {
  const queries = [];
  const from = performance.now();
  for (let first = 0; first < count; first += 500) {
    const documents = Array.from({ length: Math.min(500, count - first) }, (_, i) => ({ id: `text-${first + i}`, text: makeText() }));
    if (queries.length < 256) queries.push(...documents.slice(0, 128).map(({ text }) => text.split(' ').slice(1, 6).join(' ')));
    await call(stack.grpc(), 'AddDocuments', { collection: 'bench', documents });
  }
  const added = performance.now() - from;
  // A collection that outgrows its embedding has jobs of its own; they end first.
  const idle = () => eventually(async () => {
    const { jobs } = await call(stack.grpc(), 'ListJobs', { page_size: 100 });
    if (jobs.some(({ status }) => status === 'FAILED')) throw new Error(JSON.stringify(jobs));
    return jobs.every(({ status }) => status === 'SUCCEEDED');
  }, 'the jobs end', 3_600_000);
  await idle();
  const own = performance.now() - from - added;
  const started = performance.now();
  await call(stack.grpc(), 'StartJob', { kind: 'index_documents', collection: 'bench' });
  await idle();
  const info = await call(stack.grpc(), 'GetCollection', { collection: 'bench' });
  if (Number(info.documents) !== count || info.serving.dimensions !== 256) throw new Error(JSON.stringify(info));
  const seconds = (ms) => `${(ms / 1000).toFixed(0)} s`;
  note(`${count} texts: added in ${seconds(added)}, then ${seconds(own)} for the jobs that growing began; indexed anew in ${seconds(performance.now() - started)}; server ${memoryMb(stack.server.child.pid).toFixed(0)} MB`);
  return queries;
}

// {per_second, p50, p99, gateway, server: CPU µs a request}
function measured(stack, requests, seconds, p50, p99, before) {
  const [gateway, server] = cpuOf(stack).map((now, i) => micros(now - before[i], requests));
  return { perSecond: requests / seconds, p50, p99, gateway, server };
}

function overGrpc(stack, queries, mode, callers) {
  const before = cpuOf(stack);
  const result = run(path.join(bin, 'retrieve_load'), [stack.target, 'bench', mode, callers, secondsEach], { input: queries.join('\n') });
  if (result.failed || result.matches !== 10) throw new Error(JSON.stringify(result));
  return measured(stack, result.requests, result.seconds, `${result.p50_ms.toFixed(2)} ms`, `${result.p99_ms.toFixed(2)} ms`, before);
}

function overRest(stack, queries, mode, callers) {
  const targets = queries.map((query) => `/v1/retrieve?${new URLSearchParams({ query, mode, collection: 'bench', top_k: 10 })}`);
  const script = path.join(stack.dataDir, 'wrk.lua');
  writeFileSync(script, `local targets = {${targets.map((t) => JSON.stringify(t)).join(',')}}\nlocal n = 0\n` +
    'local requests = {}\ninit = function() for i, t in ipairs(targets) do requests[i] = wrk.format("GET", t) end end\n' +
    'request = function() n = n % #requests + 1; return requests[n] end\n');
  const before = cpuOf(stack);
  const text = execFileSync('wrk', ['-t1', `-c${callers}`, `-d${secondsEach}s`, '--latency', '-s', script, stack.url], { encoding: 'utf8' });
  if (/Non-2xx/.test(text)) throw new Error(text);
  const [, requests] = /(\d+) requests in/.exec(text);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)[1]);
  const [p50, p99] = ['50%', '99%'].map((p) => new RegExp(`^ +${p} +(\\S+)`, 'm').exec(text)[1]);
  return { ...measured(stack, Number(requests), 1, p50, p99, before), perSecond };
}

// --- What a user would have otherwise

const python = ['/usr/bin/python3', 'python3'].find((program) => {
  try { execFileSync(program, ['-c', 'import numpy'], { stdio: 'ignore' }); return true; } catch { return false; }
});
if (!python) note('NO NUMPY HERE: its rows are missing (scripts/setup --bench installs python3-numpy)');
const numpy = (rows, callers, how, blasThreads) =>
  run(python, [path.join(here, 'numpy_search.py'), rows, callers, secondsEach, how], { env: { ...process.env, OPENBLAS_NUM_THREADS: String(blasThreads) } }).per_second;

// --- One size

const table = [];
function row(rows, what, callers, perSecond, compared, more = '') {
  const times = compared ? ` ${(perSecond / compared).toFixed(1)}` : '';
  table.push(`| ${rows.toLocaleString('en')} | ${what} | ${callers} | ${perSecond < 1000 ? perSecond.toFixed(0) : Math.round(perSecond).toLocaleString('en')} |${times} | ${more} |`);
  note(table.at(-1));
}

async function size(rows) {
  const stack = await Stack.start({ AIB_LOG_LEVEL: 'warn', AIB_SEED_EMPTY: 'false' });
  try {
    const queries = await load(stack, rows);
    for (const callers of [1, 32]) {
      const best = python && (callers === 1
        ? Math.max(numpy(rows, 1, 'threads', 1), numpy(rows, 1, 'threads', os.cpus().length))
        : Math.max(numpy(rows, 32, 'threads', 1), numpy(rows, 32, 'processes', 1)));
      if (python) {
        row(rows, 'numpy', callers, best, best);
        if (callers > 1) row(rows, 'numpy, 32 queries gathered into one product', callers, numpy(rows, 32, 'gathered', 1), best);
      }
      const index = run(path.join(bin, 'vector_load'), [rows, callers, secondsEach]);
      row(rows, 'FAISS flat', callers, index.faiss_per_second, best);
      row(rows, 'index', callers, index.gate_per_second, best, `${(index.gate_per_second / index.faiss_per_second).toFixed(1)} times FAISS flat, ${index.identical} of 256 answers identical`);
      for (const mode of ['dense', 'hybrid', 'lexical']) {
        for (const [what, ask] of [['gRPC', overGrpc], ['REST', overRest]]) {
          const { perSecond, p50, p99, gateway, server } = ask(stack, queries, mode, callers);
          row(rows, `Retrieve, ${mode}, ${what}`, callers, perSecond, best, `p50 ${p50}, p99 ${p99}, CPU ${what === 'REST' ? `gateway ${gateway} + ` : ''}server ${server} µs`);
        }
      }
    }
  } finally {
    await stack.stop();
  }
}

for (const rows of sizes) await size(rows);
console.log('| texts | what | callers | queries/s | times numpy | |\n|---|---|---|---|---|---|');
table.forEach((line) => console.log(line));
