#include "server/models/model_catalog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"

namespace aibackend::models {
namespace {

template <class Kind, class Model>
absl::Status AddTo(Kind& kind, Model& model, std::vector<std::string> aliases) {
  std::vector<std::string> names = aliases;
  names.push_back(model.info().id);
  for (const std::string& name : names) {
    if (!kind.by_name.emplace(name, &model).second) {
      return absl::InvalidArgumentError(absl::StrCat("two models are named '", name, "'"));
    }
  }
  kind.models.push_back({&model, std::move(aliases)});
  return absl::OkStatus();
}

template <class Kind>
std::vector<ModelInfo> InfosOf(const Kind& kind) {
  std::vector<ModelInfo> infos;
  for (const auto& entry : kind.models) {
    infos.push_back(entry.model->info());
    infos.back().aliases = entry.aliases;
  }
  return infos;
}

template <class Kind>
auto FindIn(const Kind& kind, const std::string& name, absl::string_view what)
    -> absl::StatusOr<typename decltype(kind.by_name)::mapped_type> {
  if (name.empty() && !kind.models.empty()) return kind.models.front().model;
  const auto found = kind.by_name.find(name);
  if (found != kind.by_name.end()) return found->second;
  if (kind.models.empty()) {
    return MakeError(Reason::MODEL_NOT_FOUND,
                     absl::StrCat("there is no ", what, "; the settings name none"), "model");
  }
  std::vector<std::string> known;
  for (const ModelInfo& info : InfosOf(kind)) {
    known.push_back(info.id);
    known.insert(known.end(), info.aliases.begin(), info.aliases.end());
  }
  return MakeError(
      Reason::MODEL_NOT_FOUND,
      absl::StrCat("no ", what, " is named '", name, "'; known: ", absl::StrJoin(known, ", ")),
      "model");
}

}  // namespace

absl::Status ModelCatalog::Add(LanguageModel& model, std::vector<std::string> aliases) {
  return AddTo(language_, model, std::move(aliases));
}
absl::Status ModelCatalog::Add(EmbeddingModel& model, std::vector<std::string> aliases) {
  return AddTo(embedding_, model, std::move(aliases));
}

absl::StatusOr<LanguageModel*> ModelCatalog::Find(const std::string& name) const {
  return FindIn(language_, name, "model");
}
absl::StatusOr<EmbeddingModel*> ModelCatalog::FindEmbedding(const std::string& name) const {
  return FindIn(embedding_, name, "embedding model");
}

std::vector<ModelInfo> ModelCatalog::Infos() const {
  return InfosOf(language_);
}
std::vector<ModelInfo> ModelCatalog::EmbeddingInfos() const {
  return InfosOf(embedding_);
}

}  // namespace aibackend::models
