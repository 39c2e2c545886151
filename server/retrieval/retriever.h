// Search over the stored documents of a collection. The database is the truth; what is here is a
// cache of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace aibackend::retrieval {

enum class Mode { kHybrid, kDense, kLexical };

struct RetrieveQuery {
  std::string text;
  int top_k = 5;
  std::string collection = "default";
  Mode mode = Mode::kHybrid;
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
};

struct RetrieveResult {
  std::vector<Match> matches;  // best first; ties by chunk order
  Mode mode = Mode::kHybrid;   // kLexical where no embedding is fitted (fewer than 30 chunks)
  int generation = 0;          // of the fitted embedding; 0: none
  double confidence = 0;       // 0 to 1 that the collection answers the query (RETRIEVAL: conf)
};

// Thread-safe; a call takes about a millisecond of CPU and doesn't touch the database. An unknown
// collection is an empty one. Of a text to search or analyze 32 KiB are read.
class Retriever {
 public:
  virtual ~Retriever() = default;
  virtual RetrieveResult Retrieve(const RetrieveQuery& query) const = 0;

  // The inverse document frequency of each term of `text` in the collection, for scoring sentences:
  // the terms are those of the index (stemmed, stop words dropped), in order, with the idf of an
  // unseen term for those it doesn't hold.
  struct WeightedTerm {
    std::string term;
    double idf = 0;
  };
  virtual std::vector<WeightedTerm> Analyze(absl::string_view text,
                                            const std::string& collection) const = 0;
};

}  // namespace aibackend::retrieval
