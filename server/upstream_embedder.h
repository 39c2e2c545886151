// The embedding models of the settings as retrieval/ knows them. A part of the composition root.
#pragma once

#include <string>
#include <vector>

#include "server/models/embedding_model.h"
#include "server/retrieval/text_embedder.h"

namespace aibackend {

// Turns calls that end on other threads into ones that block, and many texts into calls of a size
// that model servers take, some of them under way at once. Thread-safe.
class UpstreamEmbedder final : public retrieval::TextEmbedder {
 public:
  // OpenAI takes 2,048 texts and 300,000 tokens a call; smaller servers (TEI) take 32 texts.
  static constexpr size_t kTextsMax = 32;
  static constexpr size_t kBytesMax = 64
                                      << 10;  // of the texts of a call, but for one that is alone
  static constexpr size_t kCallsMax = 4;      // under way at once, of one Embed()

  // The model outlives it. `key` as TextEmbedder::key().
  UpstreamEmbedder(models::EmbeddingModel& model, std::string key);

  const std::string& name() const override { return name_; }
  const std::string& key() const override { return key_; }
  absl::Status Embed(const std::vector<std::string>& texts, absl::Time deadline,
                     const telemetry::TraceContext& trace, OnVectors on_vectors) override;

 private:
  class Calls;

  models::EmbeddingModel& model_;
  const std::string name_;
  const std::string key_;
};

}  // namespace aibackend
