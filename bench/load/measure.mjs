// What the load programs share: CPU and memory of processes from /proc, percentiles, and the rows of the table.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const rows = [];

export const row = (what, value) => { rows.push([what, value]); console.error(`${what}: ${value}`); };
export function printRows() {
  console.log('| what | measured |\n|---|---|');
  for (const [what, value] of rows) console.log(`| ${what} | ${value} |`);
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
export const pidsOf = (stack) => [stack.gateway.child.pid, stack.server.child.pid];
// [gateway, server], in seconds.
export const cpuOf = (stack) => pidsOf(stack).map(cpuSeconds);
export const memoryMb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
export const seconds = (n) => new Promise((resolve) => setTimeout(resolve, n * 1000));
export const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
