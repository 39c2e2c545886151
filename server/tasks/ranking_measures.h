// How good a ranking is, by the judgements of people: the measures of information retrieval.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace aibackend::tasks {

// How relevant documents are to one query, by id. Above 0 is relevant; 0, less and not being here
// (unjudged) are not.
using Judgements = absl::flat_hash_map<std::string, double>;

// Ids of documents, best first: the order is all that counts, so whoever ranks has broken the ties.
// An id that comes again is left out, and what follows moves up, as if it had come once.
using Ranking = std::vector<std::string>;

// The measures are 0 to 1, and 0 where no document is relevant: such a query says nothing and is to
// be left out of a mean. Pure; each takes time linear in what it is given, but for a sort.

bool HasRelevant(const Judgements& judgements);

// Normalised discounted cumulative gain: sum of relevance / log2(rank + 1) over the first `cutoff`
// ranks, over the same sum of the best possible ranking. Linear gain, as trec_eval's ndcg_cut
// (Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002).
double NdcgAt(size_t cutoff, const Judgements& judgements, const Ranking& ranking);

// The share of all relevant documents that are among the first `cutoff`: trec_eval's recall.
double RecallAt(size_t cutoff, const Judgements& judgements, const Ranking& ranking);

// 1 / the rank of the first relevant document, 0 if none is among the first `cutoff` (Voorhees,
// "The TREC-8 Question Answering Track Report", 1999).
double ReciprocalRankAt(size_t cutoff, const Judgements& judgements, const Ranking& ranking);

}  // namespace aibackend::tasks
