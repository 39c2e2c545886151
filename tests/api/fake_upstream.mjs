// The imposter (tests/fakes) as a program beside the stack, and the TOML that puts models behind the server.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import readline from 'node:readline';
import { eventually, root } from './stack.mjs';

export class FakeUpstream {
  static async start() {
    const fake = new FakeUpstream();
    const program = path.join(root, 'tests/fakes/imposter/imposter.mjs');
    fake.child = spawn(process.execPath, [program, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(readline.createInterface({ input: fake.child.stdout }), 'line');
    fake.url = `http://127.0.0.1:${JSON.parse(line).port}`;
    return fake;
  }
  stop() {
    this.child.kill();
  }
  control(scenario) {
    return fetch(`${this.url}/control`, { method: 'POST', body: JSON.stringify(scenario) });
  }
  reset() {
    return fetch(`${this.url}/control`, { method: 'DELETE' });
  }
  async log() {
    return (await fetch(`${this.url}/control/log`)).json();
  }
  async requests(condition = () => true) {
    return (await this.log()).requests.filter(condition);
  }
  async lastRequest() {
    return (await this.requests()).at(-1);
  }
  // Until a request in the log is as `condition` says; gives it.
  request(condition, describe) {
    return eventually(async () => (await this.requests(condition))[0], describe, 10_000);
  }
}

// {name: {provider: 'openai', base_url: '…', fallbacks: […], price: {input: 1, output: 2}}} → [models."name"] …
const valueOf = (value) =>
  value?.constructor === Object ? `{ ${Object.entries(value).map(([key, inner]) => `${key} = ${JSON.stringify(inner)}`).join(', ')} }` : JSON.stringify(value);

export function modelsToml(models) {
  return Object.entries(models)
    .map(([name, keys]) => {
      const lines = Object.entries(keys).map(([key, value]) => `${key} = ${valueOf(value)}`);
      return `[models.${JSON.stringify(name)}]\n${lines.join('\n')}\n`;
    })
    .join('\n');
}
