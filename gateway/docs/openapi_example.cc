#include "gateway/docs/openapi_example.h"

namespace aibackend::gateway {

Json ExampleOf(absl::string_view message) {
  if (message == "aibackend.v1.ChatRequest")
    return {{"messages",
             Json::array({{{"role", "user"}, {"content", "What does a token bucket limit?"}}})},
            {"temperature", 0.2},
            {"retrieval", {{"enabled", true}, {"top_k", 5}}}};
  if (message == "aibackend.v1.AddDocumentsRequest")
    return {{"documents", Json::array({{{"title", "Token bucket"},
                                        {"text",
                                         "A token bucket limits the rate of requests and "
                                         "allows short bursts."},
                                        {"source", "notes.md"}}})}};
  if (message == "aibackend.v1.StartJobRequest") return {{"kind", "index_documents"}};
  if (message == "aibackend.v1.RetrieveRequest") return {{"query", "rate limiting"}, {"top_k", 3}};
  if (message == "aibackend.v1.SeedDocumentsRequest") return Json::object();
  return nullptr;
}

}  // namespace aibackend::gateway
