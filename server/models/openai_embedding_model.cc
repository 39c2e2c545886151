#include "server/models/openai_embedding_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/models/openai_embedding_wire.h"
#include "server/models/openai_wire.h"
#include "server/models/upstream_call.h"
#include "server/models/upstream_request.h"
#include "server/net/url.h"

namespace aibackend::models {
namespace {

// 4,096 numbers of at most some 25 characters, and what stands around them.
constexpr size_t kVectorBytesMax = size_t{128} * 1024;
constexpr size_t kResponseExtraBytes = size_t{64} * 1024;

OpenAiEmbeddingModel::Options Normalised(OpenAiEmbeddingModel::Options options) {
  options.base_url = WithoutSlash(options.base_url);
  if (options.upstream_model.empty()) options.upstream_model = options.id;
  return options;
}

// One answer, from its first byte to its end.
class EmbeddingCall final : public UpstreamCall {
 public:
  EmbeddingCall(std::shared_ptr<const Upstream> upstream, const EmbedRequest& request,
                std::function<void(EmbedResult)> done)
      : upstream_(std::move(upstream)),
        inputs_(request.inputs.size()),
        dimensions_(request.dimensions),
        done_(std::move(done)) {
    for (const std::string& input : request.inputs) estimated_tokens_ += EstimateTokens(input);
  }

  void OnHeaders(int status, const HttpHeaders& headers) override {
    http_status_ = status;
    if (status != 200) http_headers_ = headers;
  }

  void OnBody(absl::string_view data) override {
    // Of an error only the message is of use; else the HTTP client's limit bounds it.
    const size_t room = http_status_ == 200 ? data.size() : kErrorBodyBytesMax - body_.size();
    body_.append(data.data(), std::min(data.size(), room));
  }

  void OnDone(absl::Status status) override {
    EmbedResult result;
    result.upstream_calls = 1;
    result.status = End(std::move(status), &result);
    const bool cancelled = ReasonOf(result.status) == Reason::CANCELLED;
    if (!reported_tokens_ && (http_status_ == 200 || (cancelled && http_status_ == 0))) {
      result.usage.prompt_tokens = estimated_tokens_;
    }
    result.usage.prompt_tokens = reported_tokens_.value_or(result.usage.prompt_tokens);
    result.usage.estimated = !reported_tokens_;
    std::exchange(done_, nullptr)(std::move(result));
  }

 private:
  absl::Status End(absl::Status status, EmbedResult* result) {
    if (ReasonOf(status) == Reason::CANCELLED) return status;
    if (http_status_ != 0 && http_status_ != 200) {
      return StatusOfHttpError(*upstream_, http_status_, http_headers_,
                               OpenAiReader().ReadError(body_));
    }
    if (!status.ok()) return status;
    auto answer = ReadEmbeddings(body_, inputs_);
    if (!answer.ok()) return BadResponse(*upstream_, answer.status().message());
    if (answer->error) return StatusOfErrorObject(*upstream_, *answer->error);
    reported_tokens_ = answer->prompt_tokens;
    const size_t size = answer->vectors.front().size();
    if (dimensions_ && size != static_cast<size_t>(*dimensions_)) {
      return BadResponse(*upstream_, absl::StrCat("its vectors have ", size, " dimensions, and ",
                                                  *dimensions_, " were asked for"));
    }
    result->vectors = std::move(answer->vectors);
    return status;
  }

  const std::shared_ptr<const Upstream> upstream_;
  const size_t inputs_;
  const absl::optional<int> dimensions_;
  int estimated_tokens_ = 0;

  // The event thread's.
  std::function<void(EmbedResult)> done_;
  int http_status_ = 0;
  HttpHeaders http_headers_;  // kept of an error only
  std::string body_;
  absl::optional<int> reported_tokens_;
};

}  // namespace

OpenAiEmbeddingModel::OpenAiEmbeddingModel(net::HttpClient& http, Options options)
    : http_(http),
      options_(Normalised(std::move(options))),
      upstream_(std::make_shared<Upstream>(
          Upstream{net::OriginOf(options_.base_url), options_.api_key})) {}

ModelInfo OpenAiEmbeddingModel::info() const {
  ModelInfo info;
  info.id = options_.id;
  info.provider = "openai";
  info.description = absl::StrCat(options_.upstream_model, " at ", upstream_->origin);
  return info;
}

std::shared_ptr<Generation> OpenAiEmbeddingModel::Embed(EmbedRequest request,
                                                        std::function<void(EmbedResult)> done) {
  net::HttpRequest http = PostJson(absl::StrCat(options_.base_url, "/embeddings"),
                                   EmbeddingsBody(request, options_.upstream_model));
  if (!options_.api_key.empty()) {
    http.headers.emplace_back("Authorization", absl::StrCat("Bearer ", options_.api_key));
  }
  if (request.trace.is_valid()) {
    http.headers.emplace_back("traceparent", otlp::FormatTraceparent(request.trace));
  }
  http.timeouts = options_.timeouts;
  http.response_bytes_max = request.inputs.size() * kVectorBytesMax + kResponseExtraBytes;
  auto call = std::make_shared<EmbeddingCall>(upstream_, request, std::move(done));
  call->Attach(http_.Start(std::move(http), call));
  return call;
}

}  // namespace aibackend::models
