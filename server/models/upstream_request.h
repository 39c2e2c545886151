// What the requests to all upstreams have in common.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"
#include "server/models/language_model.h"
#include "server/models/upstream_errors.h"
#include "server/models/upstream_generation.h"
#include "server/net/http_client.h"

namespace aibackend::models {

struct UpstreamLimits {
  // Of text, reasoning and tool calls. A longer answer is a runaway, and fails as
  // UPSTREAM_BAD_RESPONSE.
  size_t answer_bytes_max = size_t{1024} * 1024;
};

// A base URL without the slashes at its end.
std::string WithoutSlash(absl::string_view url);

// The turn of `request`; its prompt isn't counted yet.
UpstreamTurn TurnOf(const GenerateRequest& request, std::shared_ptr<const Upstream> upstream,
                    const UpstreamLimits& limits);

// A POST of JSON for an answer in JSON.
net::HttpRequest PostJson(std::string url, std::string body);

// A POST of JSON for `request`. The response may be as large as an allowed answer can make it.
net::HttpRequest JsonRequest(std::string url, std::string body, const GenerateRequest& request,
                             const UpstreamLimits& limits);

// Sends `request` and answers `turn` from what comes back. `http` must outlive the generation.
std::shared_ptr<Generation> StartGeneration(net::HttpClient& http, net::HttpRequest request,
                                            UpstreamTurn turn, std::unique_ptr<AnswerReader> reader,
                                            std::shared_ptr<GenerateSink> sink);

}  // namespace aibackend::models
