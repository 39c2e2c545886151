// One answer of an OpenAI-shaped upstream, from its first byte to its end.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/models/language_model.h"
#include "server/models/openai_errors.h"
#include "server/models/openai_wire.h"
#include "server/net/http_client.h"
#include "server/net/sse_reader.h"

namespace aibackend::models {

// What the end of a generation needs to know of its beginning.
struct OpenAiTurn {
  std::shared_ptr<const Upstream> upstream;
  bool stream = false;
  bool strict = false;
  std::vector<Passage> passages;  // as the prompt numbers them
  int prompt_tokens = 0;          // estimated
  size_t answer_bytes_max = 0;
};

// The handler's methods run on the HTTP client's event thread, Attach() and Cancel() on any.
class OpenAiGeneration final : public Generation, public net::HttpHandler {
 public:
  OpenAiGeneration(OpenAiTurn turn, std::shared_ptr<GenerateSink> sink);

  // The call this answers. The answer may have begun, or ended, before this.
  void Attach(std::shared_ptr<net::HttpCall> call);
  void Cancel() override;

  void OnHeaders(int status, const HttpHeaders& headers) override;
  void OnBody(absl::string_view data) override;
  void OnDone(absl::Status status) override;

 private:
  enum class Mode { kWhole, kStream, kHttpError };

  bool TakeEvent(const net::SseEvent& event);
  bool TakePiece(OpenAiPiece piece);
  void EndStream(bool said_done);
  void EndWhole();
  void Complete();
  void FlushText();
  void Fail(absl::Status status);
  absl::Status BadResponse(absl::string_view what) const;
  void Finish(GenerateResult result);
  TokenUsage Usage(bool cancelled) const;

  const OpenAiTurn turn_;

  absl::Mutex mutex_;
  std::shared_ptr<net::HttpCall> call_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;

  // The event thread's.
  std::shared_ptr<GenerateSink> sink_;  // null once it was told the end
  Mode mode_;
  int http_status_ = 0;
  HttpHeaders http_headers_;  // kept of an error only
  std::string body_;          // of a whole answer or an error
  net::SseReader events_;
  bool any_event_ = false;
  bool any_body_ = false;
  OpenAiReader reader_;
  std::string answer_;
  size_t flushed_ = 0;  // bytes of the answer that the sink has
  std::string finish_reason_;
  bool tool_call_ = false;
  absl::optional<TokenUsage> reported_usage_;
};

}  // namespace aibackend::models
