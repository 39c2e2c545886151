// Search over the stored documents of a collection. The database is the truth; what is here is a
// cache of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "nlohmann/json.hpp"
#include "server/retrieval/collection_id.h"
#include "server/retrieval/metadata_filter.h"
#include "server/telemetry/tracer.h"

namespace aibackend::retrieval {

enum class Mode { kHybrid, kDense, kLexical };

struct RetrieveQuery {
  std::string text;
  int top_k = 5;
  CollectionId collection;
  Mode mode = Mode::kHybrid;
  MetadataFilter filter;
  double min_score = 0;  // matches below are left out
  bool explain = false;
  telemetry::TraceContext trace;  // of who asks; may be none
};

// How a match came to its score (RetrieveResponse.Explanation).
struct Explanation {
  struct Leg {
    const char* name = "";
    double score = 0;       // BM25, or the cosine
    double normalised = 0;  // over the leg's greatest for this query
    double weight = 0;
  };
  struct Term {
    std::string term;  // as it is indexed
    double idf = 0;
    double count = 0;
    double score = 0;  // its part of the words leg's
  };
  std::vector<Leg> legs;
  std::vector<Term> terms;
  double fused = 0;
  double neighbours = 0;
  double neighbour_share = 0;
};

struct Match {
  std::string document_id;
  std::string chunk_id;
  std::string title;
  std::string source;
  std::string metadata;  // JSON object, or empty
  std::string text;      // == stored text [start, end)
  size_t start = 0;      // bytes
  size_t end = 0;
  double score = 0;
  absl::optional<Explanation> explanation;  // if asked for
};

struct RetrieveResult {
  std::vector<Match> matches;  // best first; ties by chunk order
  Mode mode = Mode::kHybrid;   // kLexical where no embedding is fitted (fewer than 30 chunks)
  int generation = 0;          // of the index; 0: nothing is fitted
  double confidence = 0;       // 0 to 1 that the collection answers the query
  bool is_degraded = false;    // for want of the query's vector, from an embedder that failed
};

// Thread-safe; a call takes about a millisecond of CPU and doesn't touch the database. An unknown
// collection is an empty one. Of a text to search or analyze 32 KiB are read.
class Retriever {
 public:
  virtual ~Retriever() = default;

  // Errors: FILTER_FIELD_UNKNOWN.
  virtual absl::StatusOr<RetrieveResult> Retrieve(const RetrieveQuery& query) const = 0;

  // Changes after every change of what the collection's searches may find: documents that come or
  // go, a new generation. It is never the same again, but means nothing in another process. Read
  // before a search, it is not newer than what the search finds. Absent: not known; what rests on
  // the documents must not be kept. Takes a look into a map.
  virtual absl::optional<uint64_t> Revision(const CollectionId&) const { return absl::nullopt; }

  // The inverse document frequency of each term of `text` in the collection, for scoring sentences:
  // the terms are those of the index (stemmed, stop words dropped), in order, with the idf of an
  // unseen term for those it doesn't hold.
  struct WeightedTerm {
    std::string term;
    double idf = 0;
  };
  virtual std::vector<WeightedTerm> Analyze(absl::string_view text,
                                            const CollectionId& collection) const = 0;
};

}  // namespace aibackend::retrieval
