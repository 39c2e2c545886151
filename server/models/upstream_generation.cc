#include "server/models/upstream_generation.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/models/grounding_prompt.h"

namespace aibackend::models {
namespace {

constexpr size_t kFinishReasonBytesMax = 64;
constexpr char kToolCalls[] = "tool_calls";

std::string ContentType(const HttpHeaders& headers) {
  for (const auto& [name, value] : headers) {
    if (name != "content-type") continue;
    const absl::string_view type = absl::string_view(value).substr(0, value.find(';'));
    return absl::AsciiStrToLower(absl::StripAsciiWhitespace(type));
  }
  return {};
}

}  // namespace

UpstreamGeneration::UpstreamGeneration(UpstreamTurn turn, std::unique_ptr<AnswerReader> reader,
                                       std::shared_ptr<GenerateSink> sink)
    : turn_(std::move(turn)),
      sink_(std::move(sink)),
      mode_(turn_.stream ? Mode::kStream : Mode::kWhole),
      reader_(std::move(reader)),
      answer_(turn_.answer) {}

void UpstreamGeneration::OnHeaders(int status, const HttpHeaders& headers) {
  http_status_ = status;
  if (status != 200) {
    mode_ = Mode::kHttpError;
    http_headers_ = headers;
    return;
  }
  const std::string type = ContentType(headers);
  if (type == "text/event-stream") {
    mode_ = Mode::kStream;
  } else if (type == "application/json") {
    mode_ = Mode::kWhole;
  } else if (type == "text/html") {
    FailBad("it is a web page");
  }
}

void UpstreamGeneration::OnBody(absl::string_view data) {
  if (sink_ == nullptr) return;
  any_body_ = true;
  switch (mode_) {
    case Mode::kHttpError:
      body_.append(data.data(), std::min(data.size(), kErrorBodyBytesMax - body_.size()));
      return;
    case Mode::kWhole:
      body_.append(data.data(), data.size());  // the HTTP client's limit bounds it
      return;
    case Mode::kStream:
      absl::Status status =
          events_.Feed(data, [this](const net::SseEvent& event) { return TakeEvent(event); });
      if (!status.ok()) return FailBad(status.message());
      Flush();
  }
}

bool UpstreamGeneration::TakeEvent(const net::SseEvent& event) {
  any_event_ = true;
  const absl::string_view data = absl::StripAsciiWhitespace(event.data);
  if (data.empty()) return true;
  auto piece = reader_->ReadEvent(event.type, data);
  if (!piece.ok()) {
    FailBad("an event is no JSON object");
    return false;
  }
  const bool ends_stream = piece->ends_stream;
  if (!TakePiece(*std::move(piece))) return false;
  if (ends_stream) EndStream(true);
  return !ends_stream;
}

bool UpstreamGeneration::TakePiece(AnswerPiece piece) {
  if (piece.error) {
    Fail(StatusOfErrorObject(*turn_.upstream, *piece.error));
    return false;
  }
  TakeUsage(piece.usage);
  if (!piece.finish_reason.empty()) {
    finish_reason_ = Sanitised(*turn_.upstream, piece.finish_reason, kFinishReasonBytesMax);
  }
  const auto stop = std::find(turn_.stop.begin(), turn_.stop.end(), piece.stop_sequence);
  if (stop != turn_.stop.end()) stop_sequence_ = *stop;
  const absl::Status taken = answer_.Take(std::move(piece), mode_ == Mode::kStream, *sink_);
  if (!taken.ok()) FailBad(absl::StrCat("it ", taken.message()));
  return taken.ok();
}

void UpstreamGeneration::TakeUsage(const ReportedUsage& usage) {
  if (usage.prompt_tokens) reported_.prompt_tokens = usage.prompt_tokens;
  if (usage.completion_tokens) reported_.completion_tokens = usage.completion_tokens;
  if (usage.cached_tokens) reported_.cached_tokens = usage.cached_tokens;
  if (usage.reasoning_tokens) reported_.reasoning_tokens = usage.reasoning_tokens;
}

void UpstreamGeneration::OnDone(absl::Status status) {
  if (sink_ == nullptr) return;
  if (ReasonOf(status) == Reason::CANCELLED) return Fail(std::move(status));
  if (mode_ == Mode::kHttpError) {
    return Fail(
        StatusOfHttpError(*turn_.upstream, http_status_, http_headers_, reader_->ReadError(body_)));
  }
  // Whatever broke after the model had finished, nothing of its answer is missing.
  const bool finished = mode_ == Mode::kStream && !finish_reason_.empty();
  if (!status.ok() && !finished) return Fail(std::move(status));
  mode_ == Mode::kStream ? EndStream(false) : EndWhole();
}

void UpstreamGeneration::EndStream(bool said_done) {
  if (!finish_reason_.empty()) return Complete();
  if (!said_done) {
    if (any_body_ && !any_event_ && !events_.InsideEvent()) {
      return FailBad("it is no event stream");
    }
    return Fail(Truncated());
  }
  if (answer_.calls().IsCut()) return Fail(Truncated());
  if (answer_.text().empty() && answer_.calls().empty() && !answer_.called_unoffered()) {
    return FailBad("its stream held no answer");
  }
  finish_reason_ = "stop";
  Complete();
}

void UpstreamGeneration::EndWhole() {
  auto piece = reader_->ReadWhole(body_);
  if (!piece.ok()) return FailBad(piece.status().message());
  const bool has_answer = piece->has_answer || piece->error;
  if (!TakePiece(*std::move(piece))) return;
  if (!has_answer) return FailBad("it holds no answer");
  if (finish_reason_.empty()) finish_reason_ = "stop";
  Complete();
}

void UpstreamGeneration::Complete() {
  const bool is_empty = answer_.text().empty() && answer_.calls().empty();
  if (is_empty && answer_.called_unoffered()) {
    return FailBad("it calls a tool, and none was offered");
  }
  if (is_empty && finish_reason_ == kToolCalls) {
    return FailBad("it ends with a tool call that never came");
  }
  if (answer_.calls().HasNameless()) {
    return FailBad("it calls a tool without its name");
  }
  GenerateResult result;
  result.finish_reason = FinishReason();
  result.stop_sequence = stop_sequence_;
  if (result.finish_reason == kToolCalls) answer_.EndCalls();
  result.usage = Usage(false);
  if (turn_.strict && IsNoContextAnswer(answer_.text())) result.outcome = Outcome::kNoContext;
  Finish(std::move(result));
}

// Some upstreams say "stop" where tools are called, OpenAI's own where one was forced.
std::string UpstreamGeneration::FinishReason() const {
  if (!answer_.calls().empty() && finish_reason_ == "stop") return kToolCalls;
  if (answer_.calls().empty() && finish_reason_ == kToolCalls) return "stop";
  return finish_reason_;
}

void UpstreamGeneration::Flush() {
  if (sink_ != nullptr) answer_.Flush(*sink_);
}

void UpstreamGeneration::Fail(absl::Status status) {
  GenerateResult result;
  result.usage = Usage(ReasonOf(status) == Reason::CANCELLED);
  result.status = std::move(status);
  Finish(std::move(result));
  Cancel();  // nothing that still comes is of use
}

absl::Status UpstreamGeneration::Truncated() const {
  return MakeError(
      Reason::UPSTREAM_TRUNCATED,
      absl::StrCat(turn_.upstream->origin, " ended its stream in the middle of the answer"));
}

void UpstreamGeneration::FailBad(absl::string_view what) {
  Fail(BadResponse(*turn_.upstream, what));
}

// What remains of the transfer goes on unheard, so that its connection can be used again.
void UpstreamGeneration::Finish(GenerateResult result) {
  Flush();
  result.upstream_calls = 1;
  std::exchange(sink_, nullptr)->OnDone(std::move(result));
}

TokenUsage UpstreamGeneration::Usage(bool cancelled) const {
  const bool prompt_used = http_status_ == 200 || (cancelled && http_status_ == 0);
  TokenUsage usage;
  usage.estimated = !reported_.prompt_tokens || !reported_.completion_tokens;
  usage.prompt_tokens = reported_.prompt_tokens.value_or(prompt_used ? turn_.prompt_tokens : 0);
  usage.cached_tokens = std::min(reported_.cached_tokens.value_or(0), usage.prompt_tokens);
  if (reported_.completion_tokens) {
    usage.completion_tokens = *reported_.completion_tokens;
    usage.reasoning_tokens = reported_.reasoning_tokens.value_or(0);
  } else {
    usage.completion_tokens = answer_.EstimateTokens();
    usage.reasoning_tokens = answer_.EstimateReasoningTokens();
  }
  usage.reasoning_tokens = std::min(usage.reasoning_tokens, usage.completion_tokens);
  return usage;
}

}  // namespace aibackend::models
