// How well retrieval ranks: nDCG@10 over a test collection, measured through the DocumentStore.
//
//   retrieval_eval FOLDER [--mode hybrid|dense|lexical] [--at-least X] [--foreign FOLDER]
//                  [--legs words,dense,…]
//
// FOLDER holds docs.jsonl {id, title, text}, queries.jsonl {id, text} and qrels.tsv (query,
// document, relevance). Exits with 1 below X, and with 77 (ctest: skipped) where FOLDER is absent.
// --foreign asks another folder's queries too, and tells how many of each are taken as answerable.
// --legs sums up these legs only (leg_set.h).
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "server/base/clock.h"
#include "server/chat/extractive_answer.h"
#include "server/models/language_model.h"
#include "server/retrieval/document_store.h"
#include "server/storage/database.h"

namespace aibackend::retrieval {
namespace {

constexpr int kSkipped = 77;

constexpr size_t kAddBatch = 500;

using Qrels = std::map<std::string, std::map<std::string, double>>;  // query: document: gain
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<nlohmann::json> ReadLines(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

Qrels ReadQrels(const std::string& path) {
  Qrels qrels;
  std::ifstream in(path);
  std::string query;
  std::string document;
  double gain = 0;
  while (in >> query >> document >> gain) {
    if (gain > 0) qrels[query][document] = gain;
  }
  return qrels;
}

// Linear gain, log2 discount, as trec_eval's ndcg_cut.10.
double Ndcg10(const std::map<std::string, double>& gains, const std::vector<std::string>& ranked) {
  std::vector<double> ideal;
  for (const auto& [document, gain] : gains) ideal.push_back(gain);
  std::sort(ideal.rbegin(), ideal.rend());
  double best = 0;
  double got = 0;
  for (size_t i = 0; i < 10; ++i) {
    const double discount = std::log2(static_cast<double>(i) + 2);
    if (i < ideal.size()) best += ideal[i] / discount;
    if (i < ranked.size() && gains.count(ranked[i]) != 0) got += gains.at(ranked[i]) / discount;
  }
  return best > 0 ? got / best : 0;
}

// A document's rank is that of its best chunk.
std::vector<std::string> DistinctDocuments(const RetrieveResult& result) {
  std::vector<std::string> documents;
  std::set<std::string> seen;
  for (const Match& match : result.matches) {
    if (seen.insert(match.document_id).second) documents.push_back(match.document_id);
  }
  return documents;
}

size_t AddAll(DocumentStore& store, const std::string& folder) {
  std::vector<StoredDocument> batch;
  size_t count = 0;
  const auto flush = [&] {
    const auto added = store.Add({}, std::move(batch));
    if (!added.ok()) throw std::runtime_error(added.status().ToString());
    count += added->size();
    batch.clear();
  };
  for (const auto& line : ReadLines(folder + "/docs.jsonl")) {
    StoredDocument document;
    document.id = line["id"];
    document.title = line["title"];
    document.text = line["text"];
    if (document.text.empty()) continue;  // cranfield has two
    batch.push_back(std::move(document));
    if (batch.size() == kAddBatch) flush();
  }
  if (!batch.empty()) flush();
  return count;
}

double AnsweredShare(const DocumentStore& store, const std::string& folder) {
  size_t answered = 0;
  const auto queries = ReadLines(folder + "/queries.jsonl");
  for (const auto& line : queries) {
    answered += store.Retrieve({line["text"], 5})->confidence >= models::kConfidenceMin ? 1 : 0;
  }
  return static_cast<double>(answered) / static_cast<double>(queries.size());
}

// The share of questions whose composed answer holds a gold answer, and the mean of the answer's
// sentences.
void PrintAnswers(const DocumentStore& store, const std::string& folder) {
  std::map<std::string, std::string> questions;
  for (const auto& line : ReadLines(folder + "/queries.jsonl"))
    questions[line["id"]] = line["text"];
  double held = 0;
  double sentences = 0;
  double seconds = 0;
  size_t count = 0;
  for (const auto& line : ReadLines(folder + "/answers.jsonl")) {
    const std::string& question = questions[line["id"]];
    const RetrieveResult found = *store.Retrieve({question, 5});
    models::Grounding grounding;
    for (const Match& m : found.matches) {
      grounding.passages.push_back(
          {m.document_id, m.chunk_id, m.title, m.source, m.text, m.start, m.score});
    }
    const auto start = Clock::now();
    const auto answer = chat::ComposeAnswer(store, question, grounding);
    seconds += SecondsSince(start);
    const auto& gold = line["answers"];
    held += std::any_of(gold.begin(), gold.end(),
                        [&](const auto& a) {
                          return answer.text.find(a[0].template get<std::string>()) !=
                                 std::string::npos;
                        })
                ? 1
                : 0;
    sentences += static_cast<double>(answer.citations.size());
    ++count;
  }
  if (count == 0) return;
  std::printf("  answers hold the gold answer: %.3f, %.2f sentences each, %.3f ms\n", held / count,
              sentences / count, 1e3 * seconds / count);
}

struct Arguments {
  std::string folder;
  std::string foreign;
  Mode mode = Mode::kHybrid;
  double at_least = 0;
  LegSet legs;
};

double Evaluate(const DocumentStore& store, const Arguments& arguments) {
  const Qrels qrels = ReadQrels(arguments.folder + "/qrels.tsv");
  double sum = 0;
  size_t count = 0;
  double seconds = 0;
  for (const auto& line : ReadLines(arguments.folder + "/queries.jsonl")) {
    const auto gains = qrels.find(line["id"]);
    if (gains == qrels.end()) continue;
    RetrieveQuery query{line["text"], 100};
    query.mode = arguments.mode;
    const auto start = Clock::now();
    const RetrieveResult result = *store.Retrieve(query);
    seconds += SecondsSince(start);
    sum += Ndcg10(gains->second, DistinctDocuments(result));
    ++count;
  }
  std::printf("  %.3f ms a query\n", 1e3 * seconds / static_cast<double>(count));
  return sum / static_cast<double>(count);
}

int Run(const Arguments& arguments) {
  if (!std::filesystem::exists(arguments.folder + "/docs.jsonl")) {
    std::printf("SKIPPED: there is no test collection in '%s'\n", arguments.folder.c_str());
    return kSkipped;
  }
  std::string temporary =
      (std::filesystem::temp_directory_path() / "retrieval_eval.XXXXXX").string();
  if (mkdtemp(temporary.data()) == nullptr) throw std::runtime_error("no temporary folder");
  auto database = storage::OpenSqlite(temporary + "/eval.db");
  if (!database.ok()) throw std::runtime_error(database.status().ToString());
  SystemClock clock;
  auto store = DocumentStore::Open(**database, clock, {arguments.legs});
  if (!store.ok()) throw std::runtime_error(store.status().ToString());

  std::printf("%s\n", arguments.folder.c_str());
  auto start = Clock::now();
  const size_t documents = AddAll(**store, arguments.folder);
  std::printf("  %zu documents added in %.2f s\n", documents, SecondsSince(start));
  start = Clock::now();
  const auto rebuilt =
      (*store)->Rebuild({}, [](int64_t, int64_t, absl::string_view) { return absl::OkStatus(); });
  if (!rebuilt.ok()) throw std::runtime_error(rebuilt.status().ToString());
  std::printf("  %d chunks rebuilt in %.2f s\n", static_cast<int>(rebuilt->chunks),
              SecondsSince(start));
  const double ndcg = Evaluate(**store, arguments);
  std::printf("  nDCG@10 %.4f\n", ndcg);
  PrintAnswers(**store, arguments.folder);
  if (!arguments.foreign.empty()) {
    std::printf("  answerable: %.3f of its own queries, %.3f of the foreign ones\n",
                AnsweredShare(**store, arguments.folder),
                AnsweredShare(**store, arguments.foreign));
  }
  store->reset();
  database->reset();
  std::filesystem::remove_all(temporary);
  return ndcg >= arguments.at_least ? 0 : 1;
}

}  // namespace
}  // namespace aibackend::retrieval

int main(int argc, char** argv) {
  using aibackend::retrieval::Mode;
  aibackend::retrieval::Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (argument == "--mode") {
      arguments.mode = value == "dense"     ? Mode::kDense
                       : value == "lexical" ? Mode::kLexical
                                            : Mode::kHybrid;
      ++i;
    } else if (argument == "--at-least") {
      arguments.at_least = std::stod(value);
      ++i;
    } else if (argument == "--legs") {
      const auto legs = aibackend::retrieval::LegSet::Parse(absl::StrSplit(value, ','));
      if (!legs.ok()) {
        std::fprintf(stderr, "retrieval_eval: %s\n", legs.status().ToString().c_str());
        return 2;
      }
      arguments.legs = *legs;
      ++i;
    } else if (argument == "--foreign") {
      arguments.foreign = value;
      ++i;
    } else {
      arguments.folder = argument;
    }
  }
  try {
    return aibackend::retrieval::Run(arguments);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "retrieval_eval: %s\n", e.what());
    return 2;
  }
}
