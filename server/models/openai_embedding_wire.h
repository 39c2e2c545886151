// OpenAI's embeddings, both ways (platform.openai.com/docs/api-reference/embeddings).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/models/answer_reader.h"
#include "server/models/embedding_model.h"

namespace aibackend::models {

// The body of a request for `model`. Extra goes in untouched and may replace any member but the
// model and the inputs. Text that isn't UTF-8 gets U+FFFD.
std::string EmbeddingsBody(const EmbedRequest& request, const std::string& model);

struct EmbeddingsAnswer {
  std::vector<std::vector<float>> vectors;  // unless there is an error
  absl::optional<int> prompt_tokens;
  absl::optional<UpstreamError> error;
};

// The vectors in the order of their "index", which may be missing from all (then as they stand).
// UPSTREAM_BAD_RESPONSE unless there is exactly one for each of `inputs` (at least 1), all of one
// size that isn't 0, all of their numbers finite.
absl::StatusOr<EmbeddingsAnswer> ReadEmbeddings(absl::string_view body, size_t inputs);

}  // namespace aibackend::models
