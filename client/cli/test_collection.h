// Test collections in files: documents, queries, and who found what relevant.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace aibackend::cli {

struct TestDocument {
  std::string id;
  std::string title;
  std::string text;
};

struct TestQuery {
  std::string id;
  std::string text;
};

struct Judgement {
  std::string query;
  std::string document;
  double relevance = 0;
};

// Each reads a whole file ("-" is stdin) and fails with a sentence that names the file and the line
// at fault: "docs.jsonl:17: "text" must be a string". Empty lines are left out. An id is a string
// or an integer, under "id" or "_id"; other fields are ignored.

// JSON lines of {"id", "title", "text"}; without a title it is empty, and so may be the text. No
// two have the same id.
absl::StatusOr<std::vector<TestDocument>> ReadDocuments(const std::string& path);

// JSON lines of {"id", "text"}. No two have the same id.
absl::StatusOr<std::vector<TestQuery>> ReadQueries(const std::string& path);

// Lines of "query document relevance" or, as TREC has them, "query 0 document relevance", with tabs
// or spaces between. A first line that names the columns is left out.
absl::StatusOr<std::vector<Judgement>> ReadQrels(const std::string& path);

}  // namespace aibackend::cli
