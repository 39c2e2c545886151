// One answer of an upstream over HTTP, from its first byte to its end.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/models/answer_buffer.h"
#include "server/models/answer_reader.h"
#include "server/models/language_model.h"
#include "server/models/upstream_call.h"
#include "server/models/upstream_errors.h"
#include "server/net/sse_reader.h"

namespace aibackend::models {

// What the end of a generation needs to know of its beginning.
struct UpstreamTurn {
  std::shared_ptr<const Upstream> upstream;
  bool stream = false;
  bool strict = false;
  int prompt_tokens = 0;  // estimated
  std::vector<std::string> stop;
  AnswerBuffer::Options answer;
};

// How an answer ends:
// - A stream has ended well once a finish_reason came, even if it breaks off after that: nothing of
//   the answer can be missing. Its end mark without a finish_reason counts as "stop" if content
//   came whole, is UPSTREAM_TRUNCATED where a tool's arguments stop in the middle, and
//   UPSTREAM_BAD_RESPONSE if no content came. Anything else is UPSTREAM_TRUNCATED.
// - An upstream that answers whole although a stream was asked for, or the other way round, is
//   understood by its content type.
// - An answer that calls tools finishes with "tool_calls" where the upstream says "stop". If none
//   was offered, its calls are passed over, and it is UPSTREAM_BAD_RESPONSE if it has no text.
// - Usage is the upstream's where it reported one, each number by itself, else estimated from text,
//   reasoning and arguments. A call that the upstream didn't accept (nothing but an error status,
//   or no answer at all) used nothing; a cancelled one has used its prompt.
//
// The sink gets one delta for what came in one piece of the network: more only where it changes
// between text, reasoning and tool calls, and one for all of a whole answer.
class UpstreamGeneration final : public UpstreamCall {
 public:
  UpstreamGeneration(UpstreamTurn turn, std::unique_ptr<AnswerReader> reader,
                     std::shared_ptr<GenerateSink> sink);

  void OnHeaders(int status, const HttpHeaders& headers) override;
  void OnBody(absl::string_view data) override;
  void OnDone(absl::Status status) override;

 private:
  enum class Mode { kWhole, kStream, kHttpError };

  bool TakeEvent(const net::SseEvent& event);
  bool TakePiece(AnswerPiece piece);
  void TakeUsage(const ReportedUsage& usage);
  void EndStream(bool said_done);
  void EndWhole();
  void Complete();
  void Flush();
  std::string FinishReason() const;
  void Fail(absl::Status status);
  absl::Status Truncated() const;
  void FailBad(absl::string_view what);
  void Finish(GenerateResult result);
  TokenUsage Usage(bool cancelled) const;

  const UpstreamTurn turn_;

  // The event thread's.
  std::shared_ptr<GenerateSink> sink_;  // null once it was told the end
  Mode mode_;
  int http_status_ = 0;
  HttpHeaders http_headers_;  // kept of an error only
  std::string body_;          // of a whole answer or an error
  net::SseReader events_;
  bool any_event_ = false;
  bool any_body_ = false;
  const std::unique_ptr<AnswerReader> reader_;
  AnswerBuffer answer_;
  std::string finish_reason_;
  std::string stop_sequence_;
  ReportedUsage reported_;
};

}  // namespace aibackend::models
