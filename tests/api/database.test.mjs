// Another program keeps the database's lock: answers go on, what must be stored is refused in time, and the server leaves.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { structOf } from './made_documents.mjs';
import { ask, eventually, Stack, transports } from './stack.mjs';

async function lockDatabase(stack) {
  const locker = spawn('sqlite3', [path.join(stack.dataDir, 'aibackend.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
  locker.stdin.write('.timeout 10000\nBEGIN IMMEDIATE;\n.print locked\n');
  await once(locker.stdout, 'data');
  return locker;
}

const startJob = (stack, request) =>
  new Promise((resolve) => {
    const start = Date.now();
    stack.grpc().StartJob(request, (error, job) => resolve({ code: error?.code, job, ms: Date.now() - start }));
  });

test('a chat is answered while every other call waits for the database, and those end in time', async () => {
  const stack = await Stack.start({ AIB_WORDS_PER_SECOND: '0' });
  const locker = await lockDatabase(stack);
  try {
    const jobs = Array.from({ length: 8 }, () => startJob(stack, { kind: 'analyze_usage' }));
    await eventually(() => stack.server.log.split('rpc=StartJob').length > 8, 'the jobs have arrived');
    const start = Date.now();
    const answer = await transports.grpc.chat(stack, ask('What is FastAPI?'));
    assert.equal(answer.outcome, 'ANSWERED');
    assert.ok(Date.now() - start < 3000, `answered after ${Date.now() - start} ms`);
    for (const { code, ms } of await Promise.all(jobs)) {
      assert.equal(code, 14);
      assert.ok(ms < 30_000, `refused after ${ms} ms`);  // two rounds of four threads, of some 8 s each
    }
  } finally {
    locker.kill();
    await stack.stop();
  }
});

test('SIGTERM refuses new calls at once, though a job can\'t be handed back yet', async () => {
  const stack = await Stack.start({ AIB_WORDS_PER_SECOND: '0' });
  const text = 'The wombat scheduler balances burrows. '.repeat(50);
  const documents = Array.from({ length: 2000 }, (_, i) => ({ id: `d${i}`, text }));
  const { job } = await startJob(stack, { params: structOf({ documents }) });
  await eventually(async () => (await stack.json('GET', `/jobs/${job.job_id}`)).body.status === 'RUNNING', 'the job runs');
  const locker = await lockDatabase(stack);
  try {
    stack.server.child.kill('SIGTERM');
    await eventually(() => stack.server.log.includes('server_draining'), 'it drains');
    const start = Date.now();
    await eventually(() => transports.grpc.chat(stack, ask('x')).then(() => false, () => true), 'a call is refused');
    assert.ok(Date.now() - start < 1500, `took calls ${Date.now() - start} ms after SIGTERM`);
    assert.ok(!stack.server.exit, 'the job held nothing up: the test shows nothing');
  } finally {
    locker.kill();
    await stack.stop();
  }
});
