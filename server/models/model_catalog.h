// The models by the names that requests use.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/models/embedding_model.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// Filled while the server starts, then only read: thread-safe from then on. The models outlive it.
class ModelCatalog {
 public:
  // The first of each kind is the default of its kind. Its id and `aliases` become names; a name
  // that is taken already is an error that says which.
  absl::Status Add(LanguageModel& model, std::vector<std::string> aliases = {});
  absl::Status Add(EmbeddingModel& model, std::vector<std::string> aliases = {});

  // By id or alias; an empty name is the default. MODEL_NOT_FOUND lists the known ones.
  absl::StatusOr<LanguageModel*> Find(const std::string& name) const;
  absl::StatusOr<EmbeddingModel*> FindEmbedding(const std::string& name) const;

  // In the order they were added, with their aliases.
  std::vector<ModelInfo> Infos() const;
  std::vector<ModelInfo> EmbeddingInfos() const;

 private:
  template <class Model>
  struct Kind {
    struct Entry {
      Model* model;
      std::vector<std::string> aliases;
    };
    std::vector<Entry> models;
    absl::flat_hash_map<std::string, Model*> by_name;
  };

  Kind<LanguageModel> language_;
  Kind<EmbeddingModel> embedding_;
};

}  // namespace aibackend::models
