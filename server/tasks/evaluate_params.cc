#include "server/tasks/evaluate_params.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/tasks/evaluate_job.h"
#include "server/tasks/job_params.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using retrieval::Mode;

constexpr EvaluateParams::NamedMode kModes[] = {
    {"hybrid", Mode::kHybrid}, {"dense", Mode::kDense}, {"lexical", Mode::kLexical}};

std::string Path(absl::string_view list, size_t index) {
  return absl::StrCat("params.", list, "[", index, "]");
}

// The array params.<key>, of 1 to `max` elements.
absl::StatusOr<const Json*> ReadList(const Json& params, const char* key, size_t max) {
  const std::string field = absl::StrCat("params.", key);
  const auto found = params.find(key);
  if (found == params.end() || found->is_null()) {
    return MakeError(Reason::FIELD_REQUIRED, "an evaluation needs them", field);
  }
  if (!found->is_array()) return WrongType(field, "an array");
  if (found->empty() || found->size() > max) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("must be 1 to ", max, "; got ", found->size()), field);
  }
  return &*found;
}

// json[key], a text of 1 to `bytes_max` bytes.
absl::StatusOr<std::string> ReadRequired(const Json& json, const std::string& path, const char* key,
                                         size_t bytes_max) {
  std::string text;
  AIB_RETURN_IF_ERROR(ReadText(json, path, key, text));
  if (text.empty()) {
    return MakeError(Reason::FIELD_REQUIRED, "must not be empty", absl::StrCat(path, ".", key));
  }
  if (text.size() > bytes_max) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("must be at most ", bytes_max, " bytes; got ", text.size()),
                     absl::StrCat(path, ".", key));
  }
  return text;
}

absl::StatusOr<double> ReadRelevance(const Json& json, const std::string& path) {
  const auto found = json.find("relevance");
  const std::string field = path + ".relevance";
  if (found == json.end() || !found->is_number()) return WrongType(field, "a number");
  const double relevance = found->get<double>();
  if (!(std::abs(relevance) <= EvaluateJob::kRelevanceMax)) {
    return MakeError(
        Reason::FIELD_OUT_OF_RANGE,
        absl::StrCat("must be within ", EvaluateJob::kRelevanceMax, " of 0; got ", relevance),
        field);
  }
  return relevance;
}

// The place of each query, by its id.
using Places = absl::flat_hash_map<std::string, size_t>;

absl::StatusOr<Places> ReadQueries(const Json& json, std::vector<EvaluateParams::Query>& queries) {
  AIB_ASSIGN_OR_RETURN(const Json* list, ReadList(json, "queries", EvaluateJob::kQueriesMax));
  Places places;
  for (const Json& each : *list) {
    const std::string path = Path("queries", queries.size());
    AIB_RETURN_IF_ERROR(CheckKeys(each, path, {"id", "text"}));
    EvaluateParams::Query query;
    AIB_ASSIGN_OR_RETURN(query.id, ReadRequired(each, path, "id", EvaluateJob::kIdBytesMax));
    AIB_ASSIGN_OR_RETURN(query.text, ReadRequired(each, path, "text", EvaluateJob::kTextBytesMax));
    const auto [other, fresh] = places.try_emplace(query.id, queries.size());
    if (!fresh) {
      return MakeError(Reason::FIELD_INVALID,
                       absl::StrCat("is the id of ", Path("queries", other->second), " too"),
                       path + ".id");
    }
    queries.push_back(std::move(query));
  }
  return places;
}

absl::Status ReadQrels(const Json& json, const Places& places,
                       std::vector<EvaluateParams::Query>& queries) {
  AIB_ASSIGN_OR_RETURN(const Json* list, ReadList(json, "qrels", EvaluateJob::kQrelsMax));
  for (size_t i = 0; i < list->size(); ++i) {
    const Json& each = (*list)[i];
    const std::string path = Path("qrels", i);
    AIB_RETURN_IF_ERROR(CheckKeys(each, path, {"query", "document", "relevance"}));
    AIB_ASSIGN_OR_RETURN(const std::string query,
                         ReadRequired(each, path, "query", EvaluateJob::kIdBytesMax));
    AIB_ASSIGN_OR_RETURN(std::string document,
                         ReadRequired(each, path, "document", EvaluateJob::kIdBytesMax));
    AIB_ASSIGN_OR_RETURN(const double relevance, ReadRelevance(each, path));
    const auto place = places.find(query);
    if (place == places.end()) continue;
    const auto [other, fresh] =
        queries[place->second].judgements.try_emplace(std::move(document), relevance);
    if (!fresh && other->second != relevance) {
      return MakeError(Reason::FIELD_INVALID,
                       absl::StrCat("the same document was judged ", other->second,
                                    " for the same query before"),
                       path);
    }
  }
  const bool any = std::any_of(queries.begin(), queries.end(),
                               [](const auto& query) { return HasRelevant(query.judgements); });
  if (any) return absl::OkStatus();
  return MakeError(Reason::FIELD_INVALID, "no query has a relevant document", "params.qrels");
}

absl::Status ReadModes(const Json& json, std::vector<EvaluateParams::NamedMode>& modes) {
  const auto found = json.find("modes");
  if (found == json.end() || found->is_null()) {
    modes.assign(std::begin(kModes), std::end(kModes));
    return absl::OkStatus();
  }
  AIB_ASSIGN_OR_RETURN(const Json* list, ReadList(json, "modes", std::size(kModes)));
  for (const Json& each : *list) {
    const std::string path = Path("modes", modes.size());
    const auto* const mode = std::find_if(std::begin(kModes), std::end(kModes), [&](const auto& m) {
      return each.is_string() && each.get_ref<const std::string&>() == m.name;
    });
    if (mode == std::end(kModes)) {
      return MakeError(Reason::MODE_UNKNOWN, "must be hybrid, dense or lexical", path);
    }
    if (std::any_of(modes.begin(), modes.end(),
                    [&](const auto& m) { return m.mode == mode->mode; })) {
      return MakeError(Reason::FIELD_INVALID, "is named twice", path);
    }
    modes.push_back(*mode);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EvaluateParams> ParseEvaluateParams(const Json& json) {
  EvaluateParams params;
  AIB_RETURN_IF_ERROR(
      CheckKeys(json, "params", {"collection", "tenant", "queries", "qrels", "modes"}));
  AIB_RETURN_IF_ERROR(ReadCollection(json, params.collection));
  AIB_RETURN_IF_ERROR(ReadModes(json, params.modes));
  AIB_ASSIGN_OR_RETURN(const Places places, ReadQueries(json, params.queries));
  AIB_RETURN_IF_ERROR(ReadQrels(json, places, params.queries));
  return params;
}

}  // namespace aibackend::tasks
