// aibackend eval
#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <unordered_set>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/interrupts.h"
#include "client/cli/job_watch.h"
#include "client/cli/test_collection.h"
#include "google/protobuf/util/json_util.h"

namespace aibackend::cli {
namespace {

constexpr size_t kParamsBytesMax = 16 << 20;  // StartJobRequest.params
constexpr int kBatchDocumentsMax = 200;       // progress shows, and a call stays short
constexpr size_t kBatchBytesMax = 8 << 20;    // one document at least
// Deleting waits until a build of the index that runs has ended.
constexpr absl::Duration kDeleteTimeout = absl::Minutes(10);

struct EvalArguments {
  std::string docs;
  std::string queries;
  std::string qrels;
  std::string collection;
  std::vector<std::string> modes;
  bool keep = false;
  bool json = false;
};

struct Input {
  std::vector<TestDocument> documents;  // with a text
  size_t documents_without_text = 0;
  size_t relevant_missing = 0;  // judgements of documents that are not among `documents`
  google::protobuf::Struct params;
};

// What an "evaluate" job takes. Only relevant documents are told: the others change no measure.
google::protobuf::Struct ToParams(const std::vector<TestQuery>& queries,
                                  const std::vector<Judgement>& qrels,
                                  const std::vector<std::string>& modes) {
  google::protobuf::Struct params;
  const auto list = [&](const char* name) {
    return (*params.mutable_fields())[name].mutable_list_value();
  };
  for (const auto& query : queries) {
    auto& fields = *list("queries")->add_values()->mutable_struct_value()->mutable_fields();
    fields["id"].set_string_value(query.id);
    fields["text"].set_string_value(query.text);
  }
  for (const auto& judgement : qrels) {
    if (judgement.relevance <= 0) continue;
    auto& fields = *list("qrels")->add_values()->mutable_struct_value()->mutable_fields();
    fields["query"].set_string_value(judgement.query);
    fields["document"].set_string_value(judgement.document);
    fields["relevance"].set_number_value(judgement.relevance);
  }
  for (const auto& mode : modes) list("modes")->add_values()->set_string_value(mode);
  return params;
}

absl::Status CheckSize(const google::protobuf::Struct& params) {
  std::string json;
  const auto printed = google::protobuf::util::MessageToJsonString(params, &json);
  if (!printed.ok()) return absl::InvalidArgumentError(printed.ToString());
  if (json.size() <= kParamsBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("queries and judgements are ", json.size(),
                   " bytes as a job's params, and at "
                   "most ",
                   kParamsBytesMax, " (16 MiB) are taken: evaluate a part of the queries"));
}

size_t CountMissing(const std::vector<TestDocument>& documents,
                    const std::vector<Judgement>& qrels) {
  std::unordered_set<std::string_view> ids;
  for (const auto& document : documents) ids.insert(document.id);
  return std::count_if(qrels.begin(), qrels.end(), [&](const Judgement& judgement) {
    return judgement.relevance > 0 && ids.count(judgement.document) == 0;
  });
}

// All that is in the files, before anything is sent.
absl::StatusOr<Input> ReadInput(const EvalArguments& arguments) {
  Input input;
  const auto queries = ReadQueries(arguments.queries);
  if (!queries.ok()) return queries.status();
  const auto qrels = ReadQrels(arguments.qrels);
  if (!qrels.ok()) return qrels.status();
  input.params = ToParams(*queries, *qrels, arguments.modes);
  if (auto status = CheckSize(input.params); !status.ok()) return status;
  if (arguments.docs.empty()) return input;
  auto documents = ReadDocuments(arguments.docs);
  if (!documents.ok()) return documents.status();
  input.documents = *std::move(documents);
  const auto empty = [](const TestDocument& document) { return document.text.empty(); };
  const auto end = std::remove_if(input.documents.begin(), input.documents.end(), empty);
  input.documents_without_text = input.documents.end() - end;
  input.documents.erase(end, input.documents.end());
  input.relevant_missing = CountMissing(input.documents, *qrels);
  return input;
}

std::string RandomName() {
  std::random_device random;
  return absl::StrFormat("eval-%08x%08x", random(), random());
}

// One evaluation. Each step returns false once it is over: what was wrong is printed then, and the
// exit code set.
class Evaluation {
 public:
  Evaluation(Session& session, Interrupts& interrupts, const EvalArguments& arguments,
             std::string collection)
      : session_(session),
        interrupts_(interrupts),
        arguments_(arguments),
        collection_(std::move(collection)) {}

  // A collection that holds something is somebody's: it would be deleted in the end.
  bool CheckUnused() {
    v1::ListDocumentsRequest request;
    request.set_collection(collection_);
    request.set_page_size(1);
    const auto page = session_.client().ListDocuments(request, session_.Options());
    if (!page.ok()) return Fail(page.error());
    if (page->documents_size() == 0) return true;
    session_.FailUsage(absl::StrCat("the collection ", collection_,
                                    " holds documents already: name another one, or leave out "
                                    "--docs to evaluate what is there"));
    return false;
  }

  bool Add(std::vector<TestDocument> documents) {
    client::Cancellation cancellation;
    const Interrupts::Watch watch(interrupts_, [&] { cancellation.Cancel(); });
    v1::AddDocumentsRequest batch;
    batch.set_collection(collection_);
    size_t bytes = 0;
    for (size_t i = 0; i < documents.size(); ++i) {
      bytes += documents[i].text.size();
      auto& document = *batch.add_documents();
      document.set_id(std::move(documents[i].id));
      document.set_title(std::move(documents[i].title));
      document.set_text(std::move(documents[i].text));
      const bool last = i + 1 == documents.size();
      if (!last && batch.documents_size() < kBatchDocumentsMax &&
          bytes + documents[i + 1].text.size() <= kBatchBytesMax) {
        continue;
      }
      if (!Send(batch, cancellation)) return false;
      ShowProgress(absl::StrCat("adding documents  ", i + 1, "/", documents.size()));
      batch.clear_documents();
      bytes = 0;
    }
    ClearProgress();
    return true;
  }

  // Fits the index on all that was added: while documents come in, it is fitted on some.
  bool Build() { return Run("index_documents", {}).has_value(); }

  std::optional<google::protobuf::Struct> Measure(const google::protobuf::Struct& params) {
    return Run("evaluate", params);
  }

  // Also after a failure, whose exit code it keeps. A second Ctrl-C leaves the collection behind.
  void Delete() {
    if (session_.exit_code == kExitInterrupted) {
      session_.out.Note("Interrupted: deleting the collection " + collection_);
    }
    client::Cancellation cancellation;
    const Interrupts::Watch watch(interrupts_, [&] { cancellation.Cancel(); });
    auto options = session_.Options(&cancellation);
    if (!options.timeout) options.timeout = kDeleteTimeout;
    v1::DeleteCollectionRequest request;
    request.set_collection(collection_);
    const auto deleted = session_.client().DeleteCollection(request, options);
    if (deleted.ok() || deleted.error().reason == "COLLECTION_NOT_FOUND") return;
    session_.out.Error(deleted.error());
    session_.out.Error("the collection " + collection_ + " stays on the server");
    if (session_.exit_code == kExitOk) session_.exit_code = kExitServiceError;
  }

 private:
  bool Fail(const client::ClientError& error) {
    session_.Fail(error);
    return false;
  }

  bool Send(const v1::AddDocumentsRequest& batch, client::Cancellation& cancellation) {
    const auto added = session_.client().AddDocuments(batch, session_.Options(&cancellation));
    if (added.ok()) return true;
    ClearProgress();
    if (cancellation.cancelled()) {
      session_.exit_code = kExitInterrupted;
      return false;
    }
    client::ClientError error = added.error();
    error.message =
        absl::StrCat("documents \"", batch.documents(0).id(), "\" to \"",
                     batch.documents(batch.documents_size() - 1).id(), "\": ", error.message);
    return Fail(error);
  }

  // The result of a job that succeeded.
  std::optional<google::protobuf::Struct> Run(const char* kind,
                                              const google::protobuf::Struct& params) {
    v1::StartJobRequest request;
    request.set_kind(kind);
    request.set_collection(collection_);
    *request.mutable_params() = params;
    const auto started = session_.client().StartJob(request, session_.Options());
    if (!started.ok()) {
      session_.Fail(started.error());
      return std::nullopt;
    }
    const auto job = AwaitJob(session_, interrupts_, started->job_id(), arguments_.json);
    if (!job) return std::nullopt;
    ClearProgress();
    return job->result();
  }

  void ShowProgress(const std::string& text) {
    if (session_.out.terminal() && !arguments_.json) session_.out.Progress(text);
  }
  void ClearProgress() {
    if (session_.out.terminal() && !arguments_.json) session_.out.ClearProgress();
  }

  Session& session_;
  Interrupts& interrupts_;
  const EvalArguments& arguments_;
  const std::string collection_;
};

double Number(const google::protobuf::Struct& fields, const char* name) {
  const auto found = fields.fields().find(name);
  return found == fields.fields().end() ? 0 : found->second.number_value();
}

std::string Text(const google::protobuf::Struct& fields, const char* name) {
  const auto found = fields.fields().find(name);
  return found == fields.fields().end() ? "" : found->second.string_value();
}

// The measures down, the modes side by side.
void PrintMeasures(Output& out, const google::protobuf::Struct& result) {
  const auto modes = result.fields().find("modes");
  if (modes == result.fields().end()) return;
  const auto& measured = modes->second.struct_value().fields();
  std::vector<std::vector<std::string>> rows = {
      {"MEASURE"}, {"nDCG@10"}, {"Recall@100"}, {"MRR@10"}, {"ms a query"}};
  for (const char* name : {"hybrid", "dense", "lexical"}) {
    const auto mode = measured.find(name);
    if (mode == measured.end()) continue;
    const auto& figures = mode->second.struct_value();
    rows[0].emplace_back(name);
    rows[1].push_back(absl::StrFormat("%.4f", Number(figures, "ndcg_at_10")));
    rows[2].push_back(absl::StrFormat("%.4f", Number(figures, "recall_at_100")));
    rows[3].push_back(absl::StrFormat("%.4f", Number(figures, "mrr_at_10")));
    rows[4].push_back(absl::StrFormat("%.3f", Number(figures, "ms_per_query")));
    if (const double count = Number(figures, "lexical_fallbacks"); count > 0) {
      out.Note(absl::StrFormat("%s: the word legs alone served %.0f queries: no embedding", name,
                               count));
    }
  }
  out.Table(rows);
}

void Print(Output& out, const Input& input, const google::protobuf::Struct& result) {
  if (input.documents_without_text > 0) {
    out.Note(absl::StrCat("Documents without a text, left out: ", input.documents_without_text));
  }
  if (input.relevant_missing > 0) {
    out.Note(absl::StrCat("Relevant documents that are not there, counted as not found: ",
                          input.relevant_missing));
  }
  const double skipped = Number(result, "skipped_queries");
  out.Note(absl::StrFormat("%s: %.0f queries%s, generation %.0f, embedder %s",
                           Text(result, "collection"), Number(result, "queries"),
                           skipped > 0 ? absl::StrFormat(" (%.0f without a relevant document "
                                                         "left out)",
                                                         skipped)
                                       : "",
                           Number(result, "generation"), Text(result, "embedder")));
  PrintMeasures(out, result);
}

void RunEval(Session& session, const EvalArguments& arguments) {
  const bool own = !arguments.docs.empty();
  if (!own && arguments.collection.empty()) {
    return session.FailUsage("--docs FILE or --collection NAME is needed: what to search");
  }
  auto input = ReadInput(arguments);
  if (!input.ok()) return session.FailUsage(input.status());
  if (own && input->documents.empty()) {
    return session.FailUsage(arguments.docs + ": no document has a text");
  }
  Interrupts interrupts;
  Evaluation evaluation(session, interrupts, arguments,
                        arguments.collection.empty() ? RandomName() : arguments.collection);
  if (own && !arguments.collection.empty() && !evaluation.CheckUnused()) return;
  std::optional<google::protobuf::Struct> result;
  if (!own || (evaluation.Add(std::move(input->documents)) && evaluation.Build())) {
    result = evaluation.Measure(input->params);
  }
  if (own && !arguments.keep) evaluation.Delete();
  if (!result) return;
  if (arguments.json) return session.out.Write(ToJson(*result));
  Print(session.out, *input, *result);
}

}  // namespace

void AddEvalCommand(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<EvalArguments>();
  auto& eval = *app.add_subcommand(
      "eval", "Measures how well retrieval ranks, by queries and what people found relevant");
  eval.add_option("--docs", arguments->docs,
                  "JSON lines of {id, title, text}: put into a collection of their own, which is "
                  "deleted afterwards. Without: what --collection holds is searched");
  eval.add_option("--queries", arguments->queries, "JSON lines of {id, text}")->required();
  eval.add_option("--qrels", arguments->qrels,
                  "Lines of query, document, relevance (above 0: relevant); or as TREC has them")
      ->required();
  eval.add_option(
      "--collection", arguments->collection,
      "What is searched; with --docs a new one's name (default: eval- and a random one)");
  eval.add_option("--modes", arguments->modes, "Of hybrid,dense,lexical (default: all)")
      ->delimiter(',')
      ->check(CLI::IsMember({"hybrid", "dense", "lexical"}));
  eval.add_flag("--keep", arguments->keep, "Don't delete the collection of --docs");
  eval.add_flag("--json", arguments->json, "Print the job's result as JSON");
  eval.callback([arguments, &session] { RunEval(session, *arguments); });
}

}  // namespace aibackend::cli
