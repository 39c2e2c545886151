// What it costs to stand between a client and its model server: the same streams straight from the imposter and through the
// product (OpenAI's dialect in, OpenAI's API out), in one run. Prints one markdown table. Run by scripts/bench.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { root, Stack } from '../../tests/api/stack.mjs';
import { cpuOf, memoryMb, percentile, pidsOf, printRows, row, seconds } from './measure.mjs';

const MODEL = 'imposter';

// Reads one stream: when its first token came, and whether all of it did.
function stream(agent, url, tokens) {
  return new Promise((resolve) => {
    const started = performance.now();
    let first = 0, seen = 0, tail = '', pieces = 0;
    const fail = (why) => resolve({ ok: false, why });
    const request = http.request(`${url}/v1/chat/completions`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } });
    request.on('error', (error) => fail(error.message));
    request.on('response', (response) => {
      if (response.statusCode !== 200) fail(`status ${response.statusCode}`);
      response.setEncoding('utf8');
      response.on('data', (data) => {
        pieces++;
        const text = tail + data;
        // A token is "token0" or " token7"; an event may be cut between two pieces.
        const whole = text.lastIndexOf('\n\n') + 2;
        if (whole > 1) {
          seen += text.slice(0, whole).match(/token\d+/g)?.length ?? 0;
          if (!first && seen > 0) first = performance.now() - started;
        }
        tail = whole > 1 ? text.slice(whole) : text;
        if (text.includes('[DONE]')) tail = '[DONE]';
      });
      response.on('end', () => resolve({ ok: seen === tokens && tail.includes('[DONE]'), first, pieces, why: `${seen} tokens` }));
      response.on('error', (error) => fail(error.message));
    });
    request.end(JSON.stringify({
      model: `${MODEL}`, stream: true, stream_options: { include_usage: true },
      messages: [{ role: 'user', content: 'How long is a piece of string?' }],
    }));
  });
}

const firsts = (results) => results.filter(({ ok }) => ok).map(({ first }) => first).sort((a, b) => a - b);
const ms = (value) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
const both = (sorted) => `p50 ${ms(percentile(sorted, 0.5))}, p99 ${ms(percentile(sorted, 0.99))}`;

async function control(upstream, scenario) {
  await fetch(`${upstream}/control`, { method: 'POST', body: JSON.stringify(scenario) });
}

// One at a time, the two ways in turn, so that noise hits both alike.
async function addedLatency(stack, upstream, count) {
  await control(upstream, { tokens: 5 });
  const agent = new http.Agent({ keepAlive: true });
  const direct = [], through = [];
  for (let i = 0; i < count; i++) {
    direct.push(await stream(agent, upstream, 5));
    through.push(await stream(agent, stack.url, 5));
  }
  agent.destroy();
  const [d, t] = [firsts(direct), firsts(through)];
  if (d.length < count || t.length < count) throw new Error(`failed: ${JSON.stringify([...direct, ...through].find(({ ok }) => !ok))}`);
  row('first token, one caller: straight from the upstream', both(d));
  row('first token, one caller: through gateway and server', both(t));
  row('added to the first token', `p50 ${ms(percentile(t, 0.5) - percentile(d, 0.5))}, p99 ${ms(percentile(t, 0.99) - percentile(d, 0.99))}`);
}

async function many(url, count, tokens) {
  const agent = new http.Agent({ maxSockets: Infinity });
  const results = await Promise.all(Array.from({ length: count }, () => stream(agent, url, tokens)));
  agent.destroy();
  return results;
}

async function concurrent(stack, upstream, count, tokens, tokenDelayMs) {
  await control(upstream, { tokens, tokenDelayMs });
  const what = `${count} streams at once of ${tokens} tokens, one every ${tokenDelayMs} ms`;
  const direct = await many(upstream, count, tokens);
  row(`${what}: straight from the upstream`, `${firsts(direct).length} finish, first token ${both(firsts(direct))}`);

  const memory = [[], []];
  const watch = setInterval(() => pidsOf(stack).forEach((pid, i) => memory[i].push(memoryMb(pid))), 500);
  const before = cpuOf(stack), from = performance.now();
  const through = await many(stack.url, count, tokens);
  const elapsed = (performance.now() - from) / 1000;
  clearInterval(watch);
  const used = cpuOf(stack).map((value, i) => value - before[i]);
  const failed = through.find(({ ok }) => !ok);
  row(`${what}: through gateway and server`,
    `${firsts(through).length} finish in ${elapsed.toFixed(1)} s, first token ${both(firsts(through))}${failed ? `; first failure: ${failed.why}` : ''}`);
  const perThousand = used.map((value) => (value / (count * tokens)) * 1000 * 1000);
  row('CPU per 1,000 tokens', `gateway ${perThousand[0].toFixed(1)} ms + server ${perThousand[1].toFixed(1)} ms`);
  // Flat: what the second half of the run takes at most, against what the first half came to.
  const flat = memory.map((samples) => {
    const half = Math.ceil(samples.length / 2);
    return `${Math.max(...samples.slice(0, half)).toFixed(0)} MB in the first half, ${Math.max(...samples.slice(half)).toFixed(0)} MB in the second`;
  });
  row('memory meanwhile: gateway', flat[0]);
  row('memory meanwhile: server', flat[1]);
}

const imposter = spawn(process.execPath, [path.join(root, 'tests/fakes/imposter/imposter.mjs'), '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
const [line] = await once(imposter.stdout, 'data');
const upstream = `http://127.0.0.1:${JSON.parse(line).port}`;
const stack = await Stack.start({ AIB_LOG_LEVEL: 'warn', AIB_OPENAI_BASE_URL: `${upstream}/v1`, AIB_MODEL: MODEL });
await addedLatency(stack, upstream, 300);
await concurrent(stack, upstream, 2000, 100, 100);
await concurrent(stack, upstream, 2000, 100, 100); // again: what the first run took is there already
await stack.stop();
imposter.kill();
printRows();
