// OpenAI's embeddings.
#pragma once

#include <memory>
#include <optional>

#include "aibackend/v1/embeddings.pb.h"
#include "gateway/transcode/answer_format.h"
#include "gateway/transcode/error.h"

namespace aibackend::gateway {

struct OpenAiEmbeddings {
  v1::EmbedRequest request;
  bool base64 = false;  // what the npm SDK asks for by itself
};

// Reads a body of POST /v1/embeddings. Texts only: what a token is, is the model's own matter.
[[nodiscard]] std::optional<ApiError> ReadOpenAiEmbeddings(absl::string_view body,
                                                           OpenAiEmbeddings& out);

// {"object":"list","data":[{"object":"embedding",…}],…} of an EmbedResponse; vectors as numbers, or
// as the base64 of little-endian 32-bit floats.
std::unique_ptr<UnaryFormat> MakeEmbeddingList(bool base64);

}  // namespace aibackend::gateway
