// What both processes count: sound to Prometheus' own tool, and bounded whatever clients send.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { ask, freePort, Stack, transports } from './stack.mjs';

let stack, sources;
before(async () => {
  const port = await freePort();
  stack = await Stack.start({ AIB_WORDS_PER_SECOND: '0', AIB_SERVER_METRICS_LISTEN: `127.0.0.1:${port}` });
  sources = { server: `http://127.0.0.1:${port}/metrics`, gateway: `${stack.url}/metrics` };
});
after(() => stack.stop());

async function scrape(url) {
  const response = await fetch(url);
  assert.equal(response.status, 200);
  return response.text();
}

// Names with labels, without values.
const seriesOf = (text) => new Set(text.split('\n').filter((line) => line && !line.startsWith('#')).map((line) => line.slice(0, line.lastIndexOf(' '))));

// The value of one series, or undefined.
const valueOf = (text, series) => {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line && Number(line.slice(series.length + 1));
};

for (const process of ['server', 'gateway']) {
  test(`${process}: promtool finds nothing to mend`, async () => {
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: await scrape(sources[process]), encoding: 'utf8' });
    assert.equal(checked.status, 0, `${checked.error ?? ''}${checked.stdout}${checked.stderr}`);
    assert.equal(checked.stdout + checked.stderr, '');
  });
}

test('a call is counted by both, once', async () => {
  const server = 'aib_server_requests_total{rpc="Chat",status="OK"}';
  const gateway = 'aib_gateway_requests_total{method="POST",route="/v1/chat",status="2xx"}';
  const before = [valueOf(await scrape(sources.server), server), valueOf(await scrape(sources.gateway), gateway)];
  await transports.rest.chat(stack, ask('What is FastAPI?'));
  const after = [valueOf(await scrape(sources.server), server), valueOf(await scrape(sources.gateway), gateway)];
  assert.deepEqual(after.map((value, i) => value - before[i]), [1, 1]);
});

test('10,000 random requests make no series', { timeout: 240_000 }, async () => {
  const before = { server: seriesOf(await scrape(sources.server)), gateway: seriesOf(await scrape(sources.gateway)) };
  // A generator of its own, so that a failure can be had again: numerical recipes' constants.
  let state = 20240229;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const word = () => Array.from({ length: 1 + random(12) }, () => 'abcdefghijklmnopqrstuvwxyz0123456789_-.{}"'[random(41)]).join('');
  const known = ['/v1/chat', '/v1/models', '/v1/documents', '/v1/jobs', '/v1/usage', '/v1/messages', '/metrics', '/docs', '/v1/keys'];
  const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'BREW', 'PROPFIND'];
  const one = async () => {
    const path = [known[random(known.length)], ...Array.from({ length: random(3) }, () => encodeURIComponent(word()))].join('/');
    const method = methods[random(methods.length)];
    const headers = { 'x-request-id': word(), 'user-agent': word(), 'x-api-key': word(), traceparent: word() };
    const chat = random(3) === 0;
    const response = chat
      ? await stack.fetch('/v1/chat', {
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json' },
          body: JSON.stringify(ask(word(), { model: word(), user: word() })),
        })
      : await stack.fetch(random(4) === 0 ? `/${encodeURIComponent(word())}` : path, { method, headers });
    await response.arrayBuffer();
  };
  let left = 10_000;
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (left-- > 0) await one();
  }));
  for (const process of ['server', 'gateway']) {
    const now = seriesOf(await scrape(sources[process]));
    assert.deepEqual([...now].filter((series) => !before[process].has(series)), [], process);
    assert.equal(now.size, before[process].size, process);
  }
});
