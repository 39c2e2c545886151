// The programs as a person starts them: settings, mistakes in them, the command line client, the page.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { ask, bin, eventually, freePort, Process, root, Stack } from './stack.mjs';

let stack;
before(async () => (stack = await Stack.start({ AIB_WORDS_PER_SECOND: '0' })));
after(() => stack.stop());

const run = (program, args, env = {}) =>
  spawnSync(path.join(bin, program), args, { encoding: 'utf8', timeout: 60_000, env: { ...process.env, ...env } });
const cli = (...args) => run('aibackend', ['--server', stack.target, ...args]);

for (const program of ['aibackend-server', 'aibackend-gateway']) {
  test(`${program}: a mistake in the settings stops the start and names the key`, async () => {
    const file = path.join(stack.dataDir, 'bad.toml');
    const section = program.slice('aibackend-'.length);
    await writeFile(file, `[${section}]\nlissten="127.0.0.1:1"\n`);
    for (const [args, env, named] of [
      [['--config', file], {}, /lissten/],
      [['--listen', '0.0.0.0:1234'], {}, /listen/],
      [[], { AIB_DRAIN_TIMEOUT_MS: '-5' }, /DRAIN_TIMEOUT|drain-timeout/i],
      [['--nonsense'], {}, /nonsense/],
    ]) {
      const ended = run(program, args, env);
      assert.equal(ended.status, 2, `${args} ${JSON.stringify(env)} ${ended.stderr}`);
      assert.match(ended.stderr, named);
    }
  });

  test(`${program}: --help names every setting with its environment variable`, () => {
    const ended = run(program, ['--help']);
    assert.equal(ended.status, 0);
    assert.match(ended.stdout, /AIB_/);
    assert.match(ended.stdout, /--listen/);
  });
}

test('deploy/aibackend.toml is what the programs print', () => {
  const printed = run('aibackend-server', ['--print-config']).stdout + '\n' + run('aibackend-gateway', ['--print-config']).stdout;
  const file = readFileSync(path.join(root, 'deploy/aibackend.toml'), 'utf8');
  const settings = file.slice(file.indexOf('[server]'));
  assert.equal(settings.trim(), printed.trim(), 'mend it with scripts/sample-config');
});

test('the sample configuration starts both programs, and so does what they print', async () => {
  const sample = path.join(root, 'deploy/aibackend.toml');
  const printed = path.join(stack.dataDir, 'printed.toml');
  await writeFile(printed, run('aibackend-server', ['--config', sample, '--print-config']).stdout
    + run('aibackend-gateway', ['--config', sample, '--print-config']).stdout);
  for (const config of [sample, printed]) {
    const env = { AIB_CONFIG: config, AIB_DATA_DIR: path.join(stack.dataDir, 'sample') };
    const target = `127.0.0.1:${await freePort()}`;
    const server = new Process('aibackend-server', ['--listen', target], env);
    const gateway = new Process('aibackend-gateway', ['--listen', '127.0.0.1:0', '--servers', target], env);
    for (const [program, serves] of [[server, /server_started/], [gateway, /listening on/]]) {
      await Promise.race([eventually(() => serves.test(program.log), () => `it serves: ${program.log}`, 30_000), program.exited]);
      assert.match(program.log, serves, config);
      await program.stop();
    }
  }
});

test('a second server on the same data folder is refused', () => {
  const ended = run('aibackend-server', ['--listen', '127.0.0.1:0'], { AIB_DATA_DIR: stack.dataDir });
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /data folder/);
});

test('the command line client: chat, retrieve, upload, documents, jobs, usage, models, health', async () => {
  const file = path.join(stack.dataDir, 'wombat.md');
  await writeFile(file, '# Wombat\n\nThe wombat scheduler balances burrows every ninety seconds.\n');
  for (const [args, expected] of [
    [['health'], /SERVING|ok|healthy/i],
    [['models'], /extractive/],
    [['chat', 'What is FastAPI?'], /FastAPI/],
    [['retrieve', 'rate limits'], /[Rr]ate/],
    [['upload', file], /wombat/],
    [['chat', 'What balances burrows?'], /every ninety seconds/],
    [['documents', 'list'], /wombat/],
    [['jobs', 'start', 'analyze_usage', '--watch'], /SUCCEEDED/],
    [['usage'], /Chat/],
  ]) {
    const ended = cli(...args);
    assert.equal(ended.status, 0, `${args}: ${ended.stdout}${ended.stderr}`);
    assert.match(ended.stdout, expected, args.join(' '));
  }
  const refused = cli('chat', '--temperature', '5', 'x');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /TEMPERATURE_OUT_OF_RANGE/);
});

test('the fixed pages: health, ready, metrics, openapi', async () => {
  assert.equal((await stack.json('GET', '/health')).status, 200);
  assert.equal((await stack.json('GET', '/ready')).status, 200);
  const { body: openapi } = await stack.json('GET', '/openapi.json');
  assert.match(openapi.openapi, /^3\./);
  for (const target of ['/v1/chat', '/chat', '/v1/chat/stream', '/retrieve', '/process', '/jobs/{job_id}', '/ai/logs', '/v1/documents/{id}']) {
    assert.ok(openapi.paths[target], target);
  }
  const metrics = await (await stack.fetch('/metrics')).text();
  assert.match(metrics, /^# HELP /m);
  assert.match(metrics, /requests_total/);
});

test('server reflection and health answer, so that grpcurl needs no proto file', async () => {
  const client = new grpc.Client(stack.target, grpc.credentials.createInsecure());
  const same = (bytes) => bytes;
  // ServerReflectionRequest{list_services: ""}: field 7, no bytes.
  const services = await new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest('/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', same, same);
    call.on('data', (bytes) => { resolve(bytes.toString('latin1')); call.cancel(); });
    call.on('error', reject);
    call.write(Buffer.from([0x3a, 0x00]));
  });
  for (const name of ['aibackend.v1.AiBackend', 'aibackend.v1.AiBackendAdmin', 'grpc.health.v1.Health']) {
    assert.ok(services.includes(name), name);
  }
  const health = await new Promise((resolve, reject) =>
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, Buffer.alloc(0), (error, bytes) => (error ? reject(error) : resolve(bytes))));
  assert.deepEqual([...health], [0x08, 0x01]);  // SERVING
  client.close();
});

test('ready says so when the server is gone', async () => {
  const own = await Stack.start();
  await own.server.stop();
  const { status, body } = await own.json('GET', '/ready');
  assert.equal(status, 503);
  assert.ok(['SERVER_UNREACHABLE', 'NOT_READY'].includes(body.error.reason));
  const chat = await own.json('POST', '/chat', { prompt: 'x' });
  assert.equal(chat.status, 503);
  assert.ok(Number(chat.headers.get('retry-after')) >= 1);
  assert.equal((await own.json('GET', '/health')).status, 200);
  await own.stop();
});

test('SIGTERM while the server starts is kept until it serves, and then ends it with 0', async () => {
  const own = await Stack.start();
  await own.server.stop();
  await own.startServer();
  // The first thing it does; until it serves there is more than enough time.
  await eventually(() => readFileSync(`/proc/${own.server.child.pid}/status`, 'utf8').match(/SigBlk:.*4002$/m), 'it blocks signals', 10_000);
  own.server.child.kill('SIGTERM');
  assert.deepEqual(await own.server.exited, { code: 0, signal: null });
  assert.match(own.server.log, /server_stopped/);
  await own.stop();
});

test('a second SIGTERM doesn\'t cut short what drains', async () => {
  const own = await Stack.start({ AIB_WORDS_PER_SECOND: '20' });
  const deltas = await new Promise((resolve, reject) => {
    const call = own.grpc().ChatStream(ask('What is FastAPI?'));
    let text = '';
    call.once('data', () => {
      own.server.child.kill('SIGTERM');
      eventually(() => own.server.log.includes('server_draining')).then(() => own.server.child.kill('SIGTERM'), reject);
    });
    call.on('data', (event) => (text += event.delta ?? ''));
    call.on('error', reject);
    call.on('end', () => resolve(text));
  });
  assert.match(deltas, /FastAPI/);
  assert.deepEqual(await own.server.exited, { code: 0, signal: null });
  await own.stop();
});

test('the page at /docs works in a browser, with nothing from elsewhere', { skip: !existsSync('/usr/bin/chromium') && 'no chromium' }, async () => {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const page = await browser.newPage();
    const foreign = [], errors = [];
    page.on('request', (request) => { if (!request.url().startsWith(stack.url) && !request.url().startsWith('data:')) foreign.push(request.url()); });
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`${stack.url}/docs`);
    await page.getByText('/v1/chat/stream', { exact: true }).first().waitFor({ timeout: 30_000 });
    assert.deepEqual(foreign, []);
    assert.deepEqual(errors, []);
    // A key that is entered goes with what is tried.
    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.locator('#auth-bearer-value').fill('aib_entered');
    await page.locator('.auth-container', { hasText: 'bearer' }).getByRole('button', { name: 'Apply credentials' }).click();
    await page.locator('.modal-ux .btn-done').first().click();
    await page.locator('#operations-AiBackend-ListModels .opblock-summary').click();
    const [tried] = await Promise.all([
      page.waitForRequest(`${stack.url}/v1/models`),
      page.locator('#operations-AiBackend-ListModels').getByRole('button', { name: 'Execute' }).click(),
    ]);
    assert.equal((await tried.allHeaders()).authorization, 'Bearer aib_entered');
    if (process.env.AIB_SCREENSHOT) await page.screenshot({ path: process.env.AIB_SCREENSHOT });
  } finally {
    await browser.close();
  }
});
