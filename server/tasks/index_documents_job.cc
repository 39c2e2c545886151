#include "server/tasks/index_documents_job.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/retrieval/document_validation.h"
#include "server/tasks/job_params.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using retrieval::AddStatus;
using retrieval::StoredDocument;

constexpr size_t kBatch = 50;  // documents between two reports of progress, and two questions

struct IndexParams {
  retrieval::CollectionId collection;
  std::string embedder;
  std::vector<StoredDocument> documents;
};

absl::StatusOr<StoredDocument> ParseDocument(const Json& json, const std::string& path) {
  AIB_RETURN_IF_ERROR(CheckKeys(json, path, {"id", "title", "text", "source", "metadata"}));
  StoredDocument document;
  AIB_RETURN_IF_ERROR(ReadText(json, path, "id", document.id));
  AIB_RETURN_IF_ERROR(ReadText(json, path, "title", document.title));
  AIB_RETURN_IF_ERROR(ReadText(json, path, "text", document.text));
  AIB_RETURN_IF_ERROR(ReadText(json, path, "source", document.source));
  const auto metadata = json.find("metadata");
  if (metadata != json.end() && !metadata->is_null()) {
    if (!metadata->is_object()) return WrongType(absl::StrCat(path, ".metadata"), "an object");
    document.metadata = metadata->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  AIB_RETURN_IF_ERROR(retrieval::ValidateDocument(document, path));
  return document;
}

absl::StatusOr<IndexParams> ParseParams(const Json& json) {
  IndexParams params;
  if (json.is_null()) return params;
  AIB_RETURN_IF_ERROR(CheckKeys(json, "params", {"collection", "tenant", "documents", "embedder"}));
  AIB_RETURN_IF_ERROR(ReadCollection(json, params.collection));
  AIB_RETURN_IF_ERROR(ReadText(json, "params", "embedder", params.embedder));
  const auto documents = json.find("documents");
  if (documents == json.end() || documents->is_null()) return params;
  if (!documents->is_array()) return WrongType("params.documents", "an array");
  if (documents->size() > IndexDocumentsJob::kDocumentsMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("a job takes at most ", IndexDocumentsJob::kDocumentsMax,
                                  " documents; got ", documents->size()),
                     "params.documents");
  }
  for (const Json& each : *documents) {
    const std::string path = absl::StrCat("params.documents[", params.documents.size(), "]");
    AIB_ASSIGN_OR_RETURN(StoredDocument document, ParseDocument(each, path));
    params.documents.push_back(std::move(document));
  }
  return params;
}

// One measure over both phases: adding n documents is n steps of 2n and indexing the other n,
// whatever the collection holds besides. Without documents the steps are those of indexing.
struct Scale {
  int64_t added;

  int64_t Done(int64_t done, int64_t total) const {
    if (added == 0) return done;
    return added + (total > 0 ? added * std::min(done, total) / total : 0);
  }
  int64_t Total(int64_t total) const { return added == 0 ? total : 2 * added; }
};

}  // namespace

struct IndexDocumentsJob::Counts {
  int64_t added = 0;
  int64_t updated = 0;
  int64_t unchanged = 0;

  void Count(AddStatus status) {
    ++(status == AddStatus::kAdded ? added : status == AddStatus::kUpdated ? updated : unchanged);
  }
};

absl::Status IndexDocumentsJob::Validate(const Json& params) const {
  AIB_ASSIGN_OR_RETURN(const IndexParams parsed, ParseParams(params));
  if (parsed.embedder.empty()) return absl::OkStatus();
  absl::Status status = store_.CheckEmbedder(parsed.embedder);
  if (status.ok()) return status;
  return MakeError(ReasonOf(status), status.message(), "params.embedder");
}

absl::StatusOr<Json> IndexDocumentsJob::Run(const Json& json, jobs::JobContext& context) {
  AIB_ASSIGN_OR_RETURN(IndexParams params, ParseParams(json));
  const Scale scale{static_cast<int64_t>(params.documents.size())};
  AIB_ASSIGN_OR_RETURN(const Counts counts,
                       AddAll(params.collection, std::move(params.documents), context));
  const auto progress = [&](int64_t done, int64_t total, absl::string_view what) {
    context.ReportProgress(scale.Done(done, total), scale.Total(total), what);
    return context.CheckAlive();
  };
  AIB_ASSIGN_OR_RETURN(
      const retrieval::RebuildResult rebuilt,
      store_.Rebuild(params.collection, {params.embedder, context.job_id().value}, progress));
  Json result = ToJson(rebuilt);
  result["added"] = counts.added;
  result["updated"] = counts.updated;
  result["unchanged"] = counts.unchanged;
  return result;
}

absl::StatusOr<IndexDocumentsJob::Counts> IndexDocumentsJob::AddAll(
    const retrieval::CollectionId& collection, std::vector<StoredDocument> documents,
    jobs::JobContext& context) {
  Counts counts;
  const size_t total = documents.size();
  for (size_t first = 0; first < total; first += kBatch) {
    AIB_RETURN_IF_ERROR(context.CheckAlive());
    context.ReportProgress(first, 2 * total, "adding documents");
    const auto begin = documents.begin() + first;
    const auto end = begin + std::min(kBatch, total - first);
    auto added =
        store_.Add(collection, {std::make_move_iterator(begin), std::make_move_iterator(end)});
    if (!added.ok()) {
      return MakeError(ReasonOf(added.status()),
                       absl::StrCat("adding params.documents from [", first,
                                    "]: ", FieldOf(added.status()), " ", added.status().message()));
    }
    for (const retrieval::AddedDocument& document : *added) counts.Count(document.status);
  }
  AIB_RETURN_IF_ERROR(context.CheckAlive());
  return counts;
}

}  // namespace aibackend::tasks
