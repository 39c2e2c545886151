// Echo, scenarios, faults and log.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { ask, askClaude, base, control, events, log, textOf, typedEvents, until } from './asking.mjs';

test('a whole answer echoes the last user message with exact usage', async () => {
  const answer = await (await ask({})).json();
  assert.equal(answer.choices[0].message.content, 'You said: hello there');
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.deepEqual(answer.usage, { prompt_tokens: 2, completion_tokens: 4, total_tokens: 6 });
});

test('a stream says the same in tokens', async () => {
  const list = events(await (await ask({ stream: true, stream_options: { include_usage: true } })).text());
  assert.equal(textOf(list), 'You said: hello there');
  assert.equal(list.at(-1), '[DONE]');
  assert.equal(JSON.parse(list.at(-2)).usage.completion_tokens, 4);
  assert.equal(JSON.parse(list.at(-3)).choices[0].finish_reason, 'stop');
});

test('max_tokens cuts the answer', async () => {
  const answer = await (await ask({ max_tokens: 2 })).json();
  assert.equal(answer.choices[0].message.content, 'You said:');
  assert.equal(answer.choices[0].finish_reason, 'length');
});

test('a scenario comes by control, by queue, by model name and by header, the later ones first', async () => {
  const said = async (...args) => (await (await ask(...args)).json()).choices[0].message.content;
  await control({ scenario: { answer: 'a' }, next: [{ answer: 'b' }] });
  assert.equal(await said({}), 'b');
  assert.equal(await said({}), 'a');
  assert.equal(await said({ model: 'm?answer=c' }), 'c');
  assert.equal(await said({ model: 'm?answer=c' }, { 'x-imposter-scenario': '{"answer":"d"}' }), 'd');
});

test('a scenario may stand alone, and a new one forgets the old', async () => {
  await control({ answer: 'alone' });
  assert.equal((await (await ask({})).json()).choices[0].message.content, 'alone');
  await control({});
  assert.equal((await (await ask({})).json()).choices[0].message.content, 'You said: hello there');
});

test('an unknown field or fault is refused by name', async () => {
  for (const scenario of [{ fault: 'http-99' }, { colour: 'red' }, { fault: 'mood' }, { tokenDelayMs: 'slow' }]) {
    const response = await control({ scenario });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, /colour|mood|tokenDelayMs|http-99/);
  }
});

for (const [fault, status] of [['rate-limit', 429], ['http-500', 500], ['http-401', 401], ['http-418', 418]]) {
  test(`${fault} is a ${status} with an error object`, async () => {
    const response = await ask({ model: `m?fault=${fault}&retryAfter=7` });
    assert.equal(response.status, status);
    assert.ok((await response.json()).error.message);
    assert.equal(response.headers.get('retry-after'), fault === 'rate-limit' ? '7' : null);
  });
}

test('html is a web page', async () => {
  assert.match((await ask({ model: 'm?fault=html' })).headers.get('content-type'), /^text\/html/);
});

for (const fault of ['reset-before-headers', 'reset-mid-stream', 'cut-mid-stream']) {
  for (const stream of [true, false]) {
    test(`${fault} fails the client (stream: ${stream})`, async () => {
      await assert.rejects(async () => (await ask({ model: `m?fault=${fault}&tokenDelayMs=1`, stream })).text());
    });
  }
}

test('a stream that ends midway is well framed and has no end', async () => {
  for (const [fault, text] of [['end-mid-stream', 'You said: hello'], ['no-done', 'You said: hello there']]) {
    const list = events(await (await ask({ model: `m?fault=${fault}`, stream: true })).text());
    assert.equal(textOf(list), text);
    assert.notEqual(list.at(-1), '[DONE]');
  }
});

test('half an event has no blank line', async () => {
  assert.doesNotMatch(await (await ask({ model: 'm?fault=half-event', stream: true })).text(), /\n\n$/);
});

test('the other faults of a stream show in it', async () => {
  const body = async (fault) => (await ask({ model: `m?fault=${fault}&lineBytes=100000`, stream: true })).text();
  assert.match(await body('error-mid-stream'), /"error"/);
  assert.ok((await body('huge-line')).length > 100000);
  const last = events(await body('bad-json')).at(-1);
  assert.throws(() => JSON.parse(last));
  assert.doesNotMatch(await body('no-finish-reason'), /"finish_reason":"/);
});

for (const fault of ['never', 'headers-only', 'stall-mid-stream']) {
  test(`${fault} goes on until the client leaves, and the log says when`, async () => {
    const leave = new AbortController();
    const left = ask({ model: `m?fault=${fault}`, stream: true }, {}, { signal: leave.signal })
      .then((response) => response.text())
      .catch((failure) => failure.name);
    await until((seen) => seen.answering === 1 && seen.requests[0].body && (fault !== 'stall-mid-stream' || seen.requests[0].tokens_sent === 3));
    leave.abort();
    assert.equal(await left, 'AbortError');
    const seen = await until(({ answering }) => answering === 0);
    assert.equal(seen.requests[0].ended, 'client_gone');
    assert.equal(seen.disconnects.length, 1);
    assert.ok(seen.requests[0].ended_at >= seen.requests[0].received_at);
  });
}

test('the log holds what was asked and counts open connections', async () => {
  await (await ask({ temperature: 0.5 }, { authorization: 'Bearer k' })).text();
  const idle = net.connect(new URL(base).port, '127.0.0.1');
  await new Promise((resolve) => idle.once('connect', resolve));
  const seen = await until(({ open_connections }) => open_connections >= 2);
  assert.equal(seen.requests[0].body.temperature, 0.5);
  assert.equal(seen.requests[0].headers.authorization, 'Bearer k');
  assert.equal(seen.requests[0].tokens_sent, 4);
  assert.equal(seen.requests[0].ended, 'complete');
  idle.destroy();
});

// ---- Anthropic's messages: the same scenarios and faults in other words ------------------------------

const saidIn = (list) => list.filter(({ type }) => type === 'content_block_delta').map(({ delta }) => delta.text).join('');

test('messages: a whole answer echoes the last user message with exact usage', async () => {
  const answer = await (await askClaude({ system: 'be very brief' })).json();
  assert.deepEqual(answer.content, [{ type: 'text', text: 'You said: hello there' }]);
  assert.equal(answer.stop_reason, 'end_turn');
  assert.deepEqual(answer.usage, { input_tokens: 5, output_tokens: 4 });
});

test('messages: a stream says the same in named events', async () => {
  const list = typedEvents(await (await askClaude({ stream: true })).text());
  assert.deepEqual(list.map(({ type }) => type), [
    'message_start', 'content_block_start', 'ping', ...Array(4).fill('content_block_delta'),
    'content_block_stop', 'message_delta', 'message_stop',
  ]);
  assert.equal(saidIn(list), 'You said: hello there');
  assert.equal(list[0].message.usage.input_tokens, 2);
  assert.deepEqual(list.at(-2).usage, { output_tokens: 4 });
  assert.equal(list.at(-2).delta.stop_reason, 'end_turn');
});

test('messages: max_tokens cuts the answer, and is required', async () => {
  const answer = await (await askClaude({ max_tokens: 2 })).json();
  assert.equal(answer.content[0].text, 'You said:');
  assert.equal(answer.stop_reason, 'max_tokens');
  const user = { role: 'user', content: 'x' };
  for (const wrong of [{ max_tokens: undefined }, { temperature: 1.5 }, { messages: [] }, { messages: [user, user] }, { messages: [user, { role: 'system', content: 'x' }] }]) {
    const refused = await askClaude(wrong);
    assert.equal(refused.status, 400);
    assert.equal((await refused.json()).error.type, 'invalid_request_error');
  }
});

for (const [fault, status, type] of [['rate-limit', 429, 'rate_limit_error'], ['http-529', 529, 'overloaded_error'], ['http-401', 401, 'authentication_error'], ['http-500', 500, 'api_error']]) {
  test(`messages: ${fault} is a ${status} of type ${type}`, async () => {
    const response = await askClaude({ model: `m?fault=${fault}&retryAfter=7` });
    assert.equal(response.status, status);
    const body = await response.json();
    assert.equal(body.type, 'error');
    assert.equal(body.error.type, type);
    assert.equal(response.headers.get('retry-after'), fault === 'rate-limit' ? '7' : null);
  });
}

for (const fault of ['reset-before-headers', 'reset-mid-stream', 'cut-mid-stream']) {
  for (const stream of [true, false]) {
    test(`messages: ${fault} fails the client (stream: ${stream})`, async () => {
      await assert.rejects(async () => (await askClaude({ model: `m?fault=${fault}&tokenDelayMs=1`, stream })).text());
    });
  }
}

test('messages: the faults of a stream show in it', async () => {
  const body = async (fault) => (await askClaude({ model: `m?fault=${fault}`, stream: true })).text();
  const midway = typedEvents(await body('end-mid-stream'));
  assert.equal(saidIn(midway), 'You said: hello');
  assert.equal(midway.at(-1).type, 'content_block_delta');
  assert.equal(typedEvents(await body('no-done')).at(-1).type, 'message_delta');
  const endless = typedEvents(await body('no-finish-reason'));
  assert.equal(endless.at(-2).delta.stop_reason, null);
  assert.equal(endless.at(-1).type, 'message_stop');
  assert.equal(typedEvents(await body('error-mid-stream')).at(-1).error.type, 'overloaded_error');
  assert.doesNotMatch(await body('half-event'), /\n\n$/);
});
