// Citations that can be trusted: a model that makes them up, behind both kinds of upstream, gets none through, and every one
// that leaves matches the stored bytes; so do those of the embedded model.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeUpstream, modelsToml } from './fake_upstream.mjs';
import { ask, Stack, transports } from './stack.mjs';

const kAnswers = 50; // of each transport, model and way
const kQuestions = 1000;

let stack, imposter;
before(async () => {
  imposter = await FakeUpstream.start();
  stack = await Stack.start({}, modelsToml({
    gpt: { base_url: `${imposter.url}/v1`, default: true },
    claude: { provider: 'anthropic', base_url: imposter.url, context_tokens: 200_000 },
    small: { base_url: `${imposter.url}/v1`, context_tokens: 1600 },
  }));
});
after(async () => {
  await stack.stop();
  imposter.stop();
});

// The same numbers each time (Numerical Recipes' generator).
function numbers(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const documents = new Map();
async function storedBytes(id, collection = 'default') {
  const key = `${collection}/${id}`;
  if (!documents.has(key)) {
    const { status, body } = await stack.json('GET', `/v1/documents/${encodeURIComponent(id)}?collection=${collection}`);
    assert.equal(status, 200, JSON.stringify(body));
    documents.set(key, Buffer.from(body.text ?? body.document.text));
  }
  return documents.get(key);
}

async function checkVerbatim(citations, collection) {
  for (const { document_id, start, end, text } of citations) {
    const bytes = await storedBytes(document_id, collection);
    assert.ok(Number(end) > Number(start));
    assert.equal(bytes.subarray(Number(start), Number(end)).toString(), text);
  }
}

// The passages of the prompt that went last to the imposter.
async function passagesGiven() {
  const { body } = await imposter.lastRequest();
  const prompt = body.system ?? body.messages.find(({ role }) => role === 'system').content;
  return [...prompt.matchAll(/<passage number="\d+" title="[^"]*">\n(.*?)\n<\/passage>/gs)].map(([, text]) => text);
}

const question = 'What is FastAPI, and what is a Python web framework good for?';

// An answer that cites well and badly: {text, dropped, numbers: those it cites, words: [[number, words]]}.
function scripted(random, passages) {
  const script = { text: '', dropped: 0, numbers: new Set(), words: [] };
  const wordsOf = (number) => {
    const lines = passages[number - 1].split('\n').map((line) => line.match(/[A-Za-z]+(?: [A-Za-z]+){3,}/)?.[0]).filter(Boolean);
    return lines.length > 0 ? lines[random(lines.length)].split(' ').slice(0, 4 + random(3)).join(' ') : null;
  };
  const invented = ['purple elephants negotiate peace treaties', '紫の象が平和条約を交渉している', 'x'.repeat(900)];
  for (let i = 1 + random(12); i > 0; --i) {
    const number = 1 + random(passages.length);
    const words = wordsOf(number);
    const good = { text: `It is so [${number}]. `, numbers: [number] };
    const parts = [
      good,
      words ? { text: `Namely [${number}: "${words}"]. `, numbers: [number], words: [[number, words]] } : good,
      words ? { text: `They say “${words}” [${number}], and more. `, numbers: [number] } : good,
      { text: `Thus [${passages.length + 1 + random(90)}]. `, dropped: 1 },
      { text: `Sure [0][99999999999999999999]. `, dropped: 2 },
      { text: `Both [${number}, ${passages.length + 7}]. `, dropped: 1, numbers: [number] },
      { text: `Yes [${number}: "${invented[random(3)]}"]. `, dropped: 1 },
      { text: `Yes [${number}: "${invented[0]} ${'y'.repeat(3000)}"]. `, dropped: 1 },
      { text: `It reads "${invented[random(2)]}" [${number}]. `, dropped: 1 },
      { text: `It reads 「${invented[1]}」[${number}]。`, dropped: 1 },
      { text: `Well [[${passages.length + 2}]], [9${'[98]'}]. `, dropped: 2 },
      { text: 'See `list[77]`, [doc-77], [1](https://example.com/77) and [x]. ' },
    ];
    const part = parts[random(parts.length)];
    script.text += part.text;
    script.dropped += part.dropped ?? 0;
    for (const one of part.numbers ?? []) script.numbers.add(one);
    script.words.push(...(part.words ?? []));
  }
  return script;
}

async function checkAnswer(script, text, answer) {
  assert.equal(answer.dropped_citations, script.dropped, script.text);
  await checkVerbatim(answer.citations);
  assert.deepEqual(new Set(answer.citations.map(({ number }) => number)), script.numbers);
  for (const [number, words] of script.words) {
    assert.ok(answer.citations.some((citation) => citation.number === number && citation.text.replace(/\s+/g, ' ') === words), words);
  }
  const prose = text.replaceAll('`list[77]`', '').replaceAll('[1](https://example.com/77)', '');
  const marks = new Set([...prose.matchAll(/\[\s*(\d+)[^\]]*\]/g)].map(([mark, number]) => {
    if (mark.includes('…')) return null; // [9…]: what was taken out of it leaves no mark
    assert.match(mark, /^\[\d+\]$/);
    return Number(number);
  }));
  marks.delete(null);
  assert.deepEqual(marks, script.numbers);
}

for (const [name, transport] of Object.entries(transports)) {
  for (const model of ['gpt', 'claude']) {
    test(`${name}, ${model}: nothing that a model invents gets through, whole or streamed, and it is counted`, async () => {
      const random = numbers(name.length * 31 + model.length);
      await imposter.reset();
      await transport.chat(stack, ask(question, { model }));
      const passages = await passagesGiven();
      assert.ok(passages.length > 1);
      for (let i = 0; i < kAnswers; ++i) {
        const script = scripted(random, passages);
        await imposter.control({ next: [{ answer: script.text }, { answer: script.text }] });
        const whole = await transport.chat(stack, ask(question, { model }));
        await checkAnswer(script, whole.response, whole);
        const { deltas, done } = await transport.stream(stack, ask(question, { model }));
        assert.equal(deltas.join(''), whole.response);
        await checkAnswer(script, whole.response, done);
      }
    });
  }
}

test('a kept answer is the checked one, and so is the row of the ledger', async () => {
  await imposter.control({ answer: 'So [1], not so [77] and not [1: "purple elephants dance"].' });
  const key = { 'idempotency-key': 'citations' };
  const first = await transports.rest.chat(stack, ask(question), key);
  const again = await transports.rest.chat(stack, ask(question), key);
  assert.equal(first.response, 'So [1], not so and not.');
  assert.equal(first.dropped_citations, 2);
  assert.deepEqual(again, first);
  const row = await stack.ledgerRow(({ request_id, status }) => request_id === first.id && status !== 'RUNNING');
  assert.equal(row.response, first.response);
});

test('an answer in JSON is left as it is', async () => {
  const answer = '{"a": [1, 77], "b": "see [77]"}';
  await imposter.control({ answer });
  const whole = await transports.rest.chat(stack, ask(question, { response_format: { type: 'json_object' } }));
  assert.equal(whole.response, answer);
  assert.deepEqual([whole.citations, whole.dropped_citations], [[], 0]);
});

test('an OpenAI SDK\'s answer has the numbers of its citations', async () => {
  await imposter.control({ answer: 'So [2], not [77].' });
  const { body } = await stack.json('POST', '/v1/chat/completions', { model: 'docs/gpt', messages: [{ role: 'user', content: question }] });
  assert.equal(body.choices[0].message.content, 'So [2], not.');
  assert.deepEqual(body.citations.map(({ number }) => number), [2]);
});

test('the passages are packed to the model\'s context, which the list of models tells', async () => {
  await imposter.reset();
  const bytes = {};
  for (const model of ['gpt', 'small']) {
    await transports.rest.chat(stack, ask(question, { model, retrieval: { top_k: 50 } }));
    bytes[model] = (await passagesGiven()).reduce((sum, text) => sum + text.length, 0);
  }
  assert.ok(bytes.small > 0 && bytes.small < 1600 * 4 && bytes.small < bytes.gpt, JSON.stringify(bytes));
  const { body } = await stack.json('GET', '/v1/models');
  assert.deepEqual(body.models.filter(({ context_tokens }) => context_tokens > 0).map(({ id, context_tokens }) => [id, context_tokens]),
    [['claude', 200_000], ['small', 1600]]);
});

test('strict and nothing that the filter lets through: no context, and no model is called', async () => {
  await imposter.reset();
  const answer = await transports.rest.chat(stack, ask(question, { retrieval: { strict: true, collection: 'empty' } }));
  assert.equal(answer.outcome, 'NO_CONTEXT');
  assert.equal((await imposter.requests()).length, 0);
});

// ---- the embedded model --------------------------------------------------------------------------------

test(`${kQuestions} answers of the embedded model: every citation matches its bytes`, async () => {
  const random = numbers(7);
  const pick = (list) => list[random(list.length)];
  const animals = ['turtle 🐢', 'heron', 'octopus 🐙', 'lynx', 'beetle', 'ウミガメ', 'サギ', 'タコ'];
  const places = ['harbour', 'valley', 'salt lake', 'old mill', '港', '谷', '湖'];
  const subjects = [];
  const texts = [];
  for (let i = 0; i < 300; ++i) {
    const [animal, place] = [pick(animals), pick(places)];
    subjects.push([animal, place, i]);
    texts.push({
      id: `d${i}`,
      title: `Report ${i}`,
      text: i % 3 === 0
        ? `第${i}号の報告です。${animal}は${place}で${i}匹見つかりました。🌊 とても元気でした。\n\n記録は${i}年に書かれました。`
        : `Report ${i} is about the ${animal}.  In the ${place} we counted ${i} of them — “quite a few”.\n\nIt was written in ${1000 + i}. ${'🙂'.repeat(i % 4)} The end.`,
    });
  }
  for (let at = 0; at < texts.length; at += 100) {
    const { status, body } = await stack.json('POST', '/v1/documents', { collection: 'reports', documents: texts.slice(at, at + 100) });
    assert.equal(status, 200, JSON.stringify(body));
  }
  let cited = 0;
  const one = async () => {
    const [animal, place, i] = pick(subjects);
    const asked = i % 3 === 0 ? `${animal}は${place}で何匹見つかりましたか。第${i}号` : `How many of the ${animal} were counted in the ${place} in report ${i}?`;
    const answer = await transports.rest.chat(stack, ask(asked, { model: 'extractive', retrieval: { collection: 'reports' } }));
    await checkVerbatim(answer.citations, 'reports');
    assert.equal(answer.dropped_citations, 0);
    assert.ok(answer.citations.every(({ number }) => number === 0));
    if (answer.outcome === 'ANSWERED') assert.ok(answer.citations.length > 0, asked);
    cited += answer.citations.length;
  };
  for (let asked = 0; asked < kQuestions; asked += 8) await Promise.all(Array.from({ length: 8 }, one));
  assert.ok(cited > kQuestions / 2, `${cited} citations`);
});
