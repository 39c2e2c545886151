// The database is away for half a minute, locked or its disk full: answers go on, valid keys stay valid, quotas hold, and every row is there
// afterwards, once. Killed while it is away, the server finds in its spool what it could not write.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { allRows, bearer, createKey, monthOf, startAccounts, sumOf } from './accounts.mjs';
import { eventually, Process } from './stack.mjs';

const AWAY_MS = 30_000;
const CALLERS = 8;

async function lock(dataDir) {
  const locker = spawn('sqlite3', [path.join(dataDir, 'aibackend.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
  locker.stdin.write('.timeout 10000\nBEGIN IMMEDIATE;\n.print locked\n');
  await once(locker.stdout, 'data');
  return () => locker.kill();
}

// Takes what is free, and again what becomes free.
async function fill(dataDir) {
  let n = 0;
  const files = [];
  const more = async () => {
    const { bavail, bsize } = await statfs(dataDir);
    if (bavail === 0) return;
    const file = path.join(dataDir, `filler-${n++}`);
    files.push(file);
    await writeFile(file, Buffer.alloc(Number(bavail) * Number(bsize))).catch(() => {});
  };
  for (let i = 0; i < 4; i++) await more();
  const timer = setInterval(more, 100);
  return async () => {
    clearInterval(timer);
    await Promise.all(files.map((file) => rm(file, { force: true })));
  };
}

// Chats without a pause until `until`; gives the ids of those that were answered.
async function chats(stack, key, n, until) {
  const ids = [];
  for (let i = 0; Date.now() < until; i++) {
    const id = `c${n}-${i}`;
    const { status, body } = await stack.json('POST', '/v1/chat', { prompt: 'hello', model: 'paid', retrieval: { enabled: false } }, { ...bearer(key), 'x-request-id': id });
    assert.equal(status, 200, JSON.stringify(body));
    ids.push(id);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return ids;
}

async function checkRows(stack, key, ids, timeoutMs = 30_000) {
  const rows = await eventually(async () => {
    const all = await allRows(stack, { key_id: key.id, status: 'OK' });
    return all.length >= ids.length ? all : null;
  }, 'all rows are there', timeoutMs);
  assert.deepEqual(rows.map(({ request_id }) => request_id).sort(), [...ids].sort());
  return rows;
}

async function ride(stack, away) {
  const keys = [await createKey(stack, { limits: { tokens_per_month: '100000000' } }), await createKey(stack)];
  for (const key of keys) await chats(stack, key.key, `before-${key.id}`, Date.now() + 200); // what is used so far is known
  const used = new Map();
  for (const key of keys) used.set(key.id, (await allRows(stack, { key_id: key.id })).map(({ request_id }) => request_id));
  const end = await away();
  const until = Date.now() + AWAY_MS;
  const answered = await Promise.all(Array.from({ length: CALLERS }, (_, n) => chats(stack, keys[n % 2].key, n, until)));
  await end();
  for (const [k, key] of keys.entries()) {
    const ids = [...used.get(key.id), ...answered.filter((_, n) => n % 2 === k).flat()];
    const rows = await checkRows(stack, key, ids);
    if (k === 0) {
      const { used_tokens, reserved_tokens } = await monthOf(stack, key.id);
      assert.deepEqual([Number(used_tokens), Number(reserved_tokens)], [sumOf(rows).tokens, 0]);
    }
  }
  const { body } = await stack.json('GET', '/v1/usage/summary');
  assert.equal(Number(body.total.requests), (await allRows(stack)).filter(({ status }) => status !== 'RUNNING').length, 'nothing is counted twice');
}

test('locked for 30 s', async () => {
  const stack = await startAccounts({ env: { AIB_LOG_LEVEL: 'warn' } });
  try {
    await ride(stack, () => lock(stack.dataDir));
  } finally {
    await stack.stop();
  }
});

const isRoot = process.getuid() === 0;
test('its disk full for 30 s', { skip: isRoot ? false : 'mounting a small disk needs root' }, async () => {
  const disk = await mkdtemp(path.join(os.tmpdir(), 'aib-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', disk]);
  assert.equal(mounted.status, 0, String(mounted.stderr));
  const stack = await startAccounts({ env: { AIB_LOG_LEVEL: 'warn', AIB_DATA_DIR: disk } });
  try {
    await ride(stack, () => fill(disk));
  } finally {
    await stack.stop();
    spawnSync('umount', ['-l', disk]);
    await rm(disk, { recursive: true, force: true });
  }
});

test('killed while it is locked: the rows are in the spool, and in the ledger after the restart', async () => {
  const stack = await startAccounts({ env: { AIB_LOG_LEVEL: 'warn' } });
  try {
    const key = await createKey(stack);
    await chats(stack, key.key, 'before', Date.now() + 200);
    const before = (await allRows(stack, { key_id: key.id })).map(({ request_id }) => request_id);
    const unlock = await lock(stack.dataDir);
    const ids = await chats(stack, key.key, 'locked', Date.now() + 2_000);
    // A write gives up after some seconds; then all that waits goes to disk.
    await eventually(() => /spool/.test(stack.server.log), 'the log tells of the spool', 30_000);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await stack.server.stop('SIGKILL');
    unlock();
    stack.server = new Process('aibackend-server', [], stack.env);
    await stack.ready();
    await checkRows(stack, key, [...before, ...ids]);
  } finally {
    await stack.stop();
  }
});
