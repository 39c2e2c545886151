// Test collections on disk, what is asked of a stack about them, and the measures.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, root } from '../api/stack.mjs';

const folder = path.resolve(root, process.env.AIB_EVAL_DIR ?? '../shared/eval'); // beside the checkout
const batchSize = 200; // documents a request

export const fileOf = (name, base) => path.join(folder, name, base);
const lines = (file) => readFileSync(file, 'utf8').split('\n').filter(Boolean);

// {documents, queries, qrels: Map of query → Map of document → relevance, answers: Map of query → texts}, or null where there is none.
export function readCollection(name) {
  const file = (base) => fileOf(name, base);
  if (!existsSync(file('docs.jsonl'))) return null;
  const json = (base) => (existsSync(file(base)) ? lines(file(base)).map((line) => JSON.parse(line)) : []);
  const qrels = new Map();
  for (const line of lines(file('qrels.tsv'))) {
    const [query, document, relevance] = line.split('\t');
    if (!qrels.has(query)) qrels.set(query, new Map());
    qrels.get(query).set(document, Number(relevance));
  }
  return {
    documents: json('docs.jsonl').map(({ id, title, text }) => ({ id, title, text })).filter(({ text }) => text),
    queries: json('queries.jsonl').map(({ id, text }) => ({ id, text })),
    qrels,
    answers: new Map(json('answers.jsonl').map(({ id, answers }) => [id, answers.map(([text]) => text)])),
  };
}

export const missing = (name) => !existsSync(fileOf(name, 'docs.jsonl'))
  && `there is no test collection ${name} in ${folder} (set AIB_EVAL_DIR)`;

// `work(item)` for every item, a few at a time; the results in order.
export async function each(items, work, atOnce = 4) {
  const results = [];
  let next = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i], i);
    }
  }));
  return results;
}

const expectOk = ({ status, body }, what) => {
  if (status >= 300) throw new Error(`${what}: ${status} ${JSON.stringify(body)}`);
  return body;
};

export async function add(stack, collection, documents) {
  for (let i = 0; i < documents.length; i += batchSize) {
    expectOk(await stack.json('POST', '/v1/documents', { collection, documents: documents.slice(i, i + batchSize) }), 'add');
  }
}

export const remove = async (stack, collection, id) =>
  expectOk(await stack.json('DELETE', `/v1/documents/${encodeURIComponent(id)}?collection=${collection}`), `delete ${id}`);

// Starts a job and waits for its result.
export async function runJob(stack, kind, collection, params = {}) {
  const { job_id } = expectOk(await stack.json('POST', '/v1/jobs', { kind, collection, params }), kind);
  const job = await eventually(async () => {
    const { body } = await stack.json('GET', `/v1/jobs/${job_id}`);
    return ['SUCCEEDED', 'FAILED', 'CANCELLED'].includes(body.status) && body;
  }, `job ${kind} of ${collection}`, 600_000);
  if (job.status !== 'SUCCEEDED') throw new Error(`${kind}: ${JSON.stringify(job)}`);
  return job.result;
}

// All documents, then one index that is fitted on all of them.
export async function load(stack, name, documents) {
  await add(stack, name, documents);
  return runJob(stack, 'index_documents', name);
}

export async function retrieve(stack, collection, query, more = {}) {
  const parameters = new URLSearchParams({ query, collection, ...more });
  return expectOk(await stack.json('GET', `/v1/retrieve?${parameters}`), query);
}

// nDCG with linear gain and log2 discount (trec_eval's ndcg_cut), recall, and the reciprocal rank; of distinct documents, best first.
export function measure(relevances, ranked) {
  const gain = (document) => Math.max(relevances.get(document) ?? 0, 0);
  const discounted = (gains) => gains.slice(0, 10).reduce((sum, g, i) => sum + g / Math.log2(i + 2), 0);
  const ideal = [...relevances.values()].filter((g) => g > 0).sort((a, b) => b - a);
  const gains = ranked.slice(0, 100).map(gain);
  const first = gains.slice(0, 10).findIndex((g) => g > 0);
  return {
    ndcg_at_10: discounted(gains) / discounted(ideal),
    recall_at_100: gains.filter((g) => g > 0).length / ideal.length,
    mrr_at_10: first < 0 ? 0 : 1 / (first + 1),
  };
}

// The means over the queries that have a relevant document, asked through GET /v1/retrieve.
export async function evaluate(stack, name, { queries, qrels }, mode = 'hybrid', depth = 50) {
  const judged = queries.filter(({ id }) => [...(qrels.get(id)?.values() ?? [])].some((g) => g > 0));
  const all = await each(judged, async ({ id, text }) => {
    const { matches } = await retrieve(stack, name, text, { mode, top_k: depth });
    return measure(qrels.get(id), [...new Set(matches.map((match) => match.document_id))]);
  });
  const mean = (key) => all.reduce((sum, one) => sum + one[key], 0) / all.length;
  return { ndcg_at_10: mean('ndcg_at_10'), recall_at_100: mean('recall_at_100'), mrr_at_10: mean('mrr_at_10') };
}
