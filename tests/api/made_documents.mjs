// Documents whose every version can be told apart, and the questions that the tests of crashes and of concurrency ask about them.
import assert from 'node:assert/strict';

// Everywhere, so that a search for it finds every chunk there is.
export const commonWord = 'ledgerwide';

// Mulberry32: the same numbers from the same seed, so that a failure can be had again.
export function randomFrom(seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  random.below = (n) => Math.floor(random() * n);
  random.of = (list) => list[random.below(list.length)];
  return random;
}

const topics = ['harbour', 'glacier', 'orchard', 'railway', 'archive', 'foundry', 'meadow', 'observatory'];
const verbs = ['measures', 'repairs', 'describes', 'orders', 'paints', 'counts'];
const places = ['in the north', 'by the river', 'under the bridge', 'près du café', 'beside the 図書館', 'at noon'];

// Makes documents, each with a word that no other version of any document has. About one in twelve is cut into several chunks.
export class Maker {
  made = 0;
  constructor(random) { this.random = random; }

  document(id) {
    const { random } = this;
    const word = `version${(this.made += 1)}x`;
    const sentence = () => `The ${random.of(topics)} ${random.of(verbs)} the ${random.of(topics)} ${random.of(places)}, ${commonWord}.`;
    const sentences = Array.from({ length: random.below(12) === 0 ? 60 : 2 + random.below(4) }, sentence);
    sentences.splice(random.below(sentences.length), 0, `It is known as ${word}.`);
    return { id, word, title: `Note ${id}`, text: sentences.join(random.below(2) ? ' ' : '\n\n') };
  }
}

export const call = (client, method, request, metadata) =>
  new Promise((resolve, reject) => {
    const done = (error, answer) => (error ? reject(error) : resolve(answer));
    metadata ? client[method](request, metadata, done) : client[method](request, done);
  });

export const forContract = ({ id, title, text }) => ({ id, title, text });

// Plain JSON as google.protobuf.Struct has it, whose fields grpc-js names in camel case.
const valueOf = (json) =>
  Array.isArray(json) ? { listValue: { values: json.map(valueOf) } }
  : json !== null && typeof json === 'object' ? { structValue: structOf(json) }
  : typeof json === 'number' ? { numberValue: json } : { stringValue: String(json) };
export const structOf = (json) => ({ fields: Object.fromEntries(Object.entries(json).map(([name, value]) => [name, valueOf(value)])) });

export async function listAll(client, collection) {
  const documents = [];
  let page_token = '';
  do {
    const page = await call(client, 'ListDocuments', { collection, page_size: 50, page_token });
    documents.push(...page.documents);
    page_token = page.next_page_token;
  } while (page_token);
  return documents;
}

// True where the match is these very bytes of the text.
export const isVerbatim = (match, text) => Buffer.from(text).subarray(match.start, match.end).equals(Buffer.from(match.text));

export function assertNoTwins(matches, what) {
  assert.equal(new Set(matches.map((match) => match.chunk_id)).size, matches.length, `a chunk twice: ${what}`);
}
