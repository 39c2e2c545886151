// Mistakes in the TOML file stop the start, by name, and tell no secret.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, Process, Stack } from './stack.mjs';

let folder;
before(async () => (folder = await mkdtemp(path.join(os.tmpdir(), 'aib-config-'))));
after(() => rm(folder, { recursive: true, force: true }));

let files = 0;

// Starts the server with this file; gives its exit code and what it said.
async function startWith(toml, env = {}) {
  const file = path.join(folder, `${++files}.toml`);
  await writeFile(file, toml);
  const server = new Process('aibackend-server', ['--config', file], {
    AIB_SERVER_LISTEN: `127.0.0.1:${await freePort()}`, AIB_DATA_DIR: path.join(folder, 'data'), ...env,
  });
  const timer = setTimeout(() => server.stop(), 20_000); // it started: the assertion on its code says so
  const { code } = await server.exited;
  clearTimeout(timer);
  return { code, said: server.log };
}

const primary = '[models.primary]\nprovider = "openai"\nbase_url = "http://127.0.0.1:9/v1"\napi_key = "sk-very-secret"\n';
const second = '[models.second]\nprovider = "anthropic"\nbase_url = "http://127.0.0.1:9"\napi_key = "sk-very-secret"\n';

for (const [mistake, toml, ...names] of [
  ['an unknown key', `${primary}colour = "red"\n`, 'models.primary.colour', /line 5/],
  ['an unknown key that holds a secret', `${primary}apikey = "sk-very-secret"\n`, 'models.primary.apikey'],
  ['an unknown table', `${primary}[modles.x]\n`, 'modles'],
  ['an unknown setting', `[server]\nlisen = "127.0.0.1:1"\n${primary}`, 'lisen'],
  ['text where a number belongs', `${primary}retries = "sk-very-secret"\n`, 'models.primary.retries'],
  ['a number where text belongs', `[models.primary]\nprovider = "openai"\nbase_url = 5\n`, 'models.primary.base_url'],
  ['a secret of the wrong type', `[models.primary]\nprovider = "openai"\nbase_url = "http://127.0.0.1:9"\napi_key = ["sk-very-secret"]\n`, 'models.primary.api_key'],
  ['a number out of bounds', `${primary}retries = -1\n`, 'models.primary.retries'],
  ['an unknown provider', `[models.primary]\nprovider = "closedai"\nbase_url = "http://127.0.0.1:9"\n`, 'models.primary.provider'],
  ['an unknown fallback', `${primary}fallbacks = ["second", "third"]\n${second}`, 'models.primary.fallbacks', 'third'],
  ['a fallback to itself', `${primary}fallbacks = ["primary"]\n`, 'models.primary.fallbacks'],
  ['two models of one name', `${primary}${second}aliases = ["primary"]\n`, 'models.second', 'primary'],
  ['a table that is there twice', `${primary}${primary}`, 'primary', /line 5/],
  ['a model that is called like the embedded one', primary.replace('models.primary', 'models.extractive'), 'extractive'],
  ['no base_url', '[models.primary]\nprovider = "openai"\napi_key = "sk-very-secret"\n', 'models.primary', 'base_url'],
  ['no base_url of one of several', `[models.primary]\n[[models.primary.upstreams]]\nbase_url = "http://127.0.0.1:9"\n[[models.primary.upstreams]]\nweight = 2\n`,
    'models.primary.upstreams[1].base_url'],
  ['a base_url that is none', `[models.primary]\nprovider = "openai"\nbase_url = "ftp://sk-very-secret@there"\n`, 'models.primary.base_url'],
  ['an unknown kind', `${primary}kind = "image"\n`, 'models.primary.kind'],
  ['broken syntax', `${primary}api_key = "sk-very-secret\n`, /line 5/],
  ['api_key_env of a variable that isn\'t set', `[models.primary]\nprovider = "openai"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "AIB_TEST_NOT_SET"\n`,
    'models.primary.api_key_env', 'AIB_TEST_NOT_SET'],
]) {
  test(`${mistake} stops the start and is named`, async () => {
    const { code, said } = await startWith(toml);
    assert.ok(code > 0 && code < 128, `it ended with ${code}: ${said}`);
    for (const name of names) assert.ok(typeof name === 'string' ? said.includes(name) : name.test(said), `${name} in: ${said}`);
    assert.doesNotMatch(said, /very-secret/);
  });
}

test('all mistakes are told at once', async () => {
  const { said } = await startWith(`${primary}colour = "red"\nretries = "x"\n${second}mood = 1\n`);
  for (const name of ['models.primary.colour', 'models.primary.retries', 'models.second.mood']) assert.ok(said.includes(name), `${name} in: ${said}`);
});

test('a file that isn\'t there stops the start', async () => {
  const server = new Process('aibackend-server', ['--config', path.join(folder, 'nowhere.toml')], {});
  const { code } = await server.exited;
  assert.ok(code > 0 && code < 128);
  assert.match(server.log, /nowhere\.toml/);
});

test('a good file starts, the first table is the default, and its key is in no log and no setting that is printed', async () => {
  const named = second.replace('api_key = "sk-very-secret"', 'api_key_env = "AIB_TEST_KEY"');
  const stack = await Stack.start({ AIB_TEST_KEY: 'sk-also-very-secret' }, `${primary}aliases = ["fast"]\nfallbacks = ["second", "extractive"]\n${named}`);
  try {
    const { body } = await stack.json('GET', '/v1/models');
    const ids = (body.models ?? body.data).map(({ id }) => id);
    for (const id of ['primary', 'second', 'extractive']) assert.ok(ids.includes(id), `${id} in ${ids}`);
    assert.deepEqual(body.models?.filter(({ is_default }) => is_default).map(({ id }) => id), ['primary']);
    const printed = new Process('aibackend-server', ['--print-config'], stack.env);
    await printed.exited;
    for (const { log } of [stack.server, stack.gateway, printed]) assert.doesNotMatch(log, /very-secret/);
  } finally {
    await stack.stop();
  }
});
