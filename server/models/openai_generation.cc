#include "server/models/openai_generation.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/models/grounding_prompt.h"

namespace aibackend::models {
namespace {

// Of an error's body only the message is of use.
constexpr size_t kErrorBodyBytesMax = size_t{16} * 1024;
constexpr size_t kFinishReasonBytesMax = 64;

std::string ContentType(const HttpHeaders& headers) {
  for (const auto& [name, value] : headers) {
    if (name != "content-type") continue;
    const absl::string_view type = absl::string_view(value).substr(0, value.find(';'));
    return absl::AsciiStrToLower(absl::StripAsciiWhitespace(type));
  }
  return {};
}

}  // namespace

OpenAiGeneration::OpenAiGeneration(OpenAiTurn turn, std::shared_ptr<GenerateSink> sink)
    : turn_(std::move(turn)),
      sink_(std::move(sink)),
      mode_(turn_.stream ? Mode::kStream : Mode::kWhole) {}

void OpenAiGeneration::Attach(std::shared_ptr<net::HttpCall> call) {
  absl::MutexLock lock(&mutex_);
  call_ = std::move(call);
  if (cancelled_) call_->Cancel();
}

void OpenAiGeneration::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (call_ != nullptr) call_->Cancel();
}

void OpenAiGeneration::OnHeaders(int status, const HttpHeaders& headers) {
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
    Fail(BadResponse("it is a web page"));
  }
}

void OpenAiGeneration::OnBody(absl::string_view data) {
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
      if (!status.ok()) return Fail(BadResponse(status.message()));
      FlushText();
  }
}

bool OpenAiGeneration::TakeEvent(const net::SseEvent& event) {
  any_event_ = true;
  const absl::string_view data = absl::StripAsciiWhitespace(event.data);
  if (data.empty()) return true;
  if (data == "[DONE]") {
    EndStream(true);
    return false;
  }
  auto piece = reader_.Read(data, event.type == "error" ? PieceKind::kError : PieceKind::kChunk);
  if (!piece.ok()) {
    Fail(BadResponse("an event is no JSON object"));
    return false;
  }
  return TakePiece(*std::move(piece));
}

bool OpenAiGeneration::TakePiece(OpenAiPiece piece) {
  if (piece.error) {
    Fail(StatusOfErrorObject(*turn_.upstream, *piece.error));
    return false;
  }
  if (answer_.size() + piece.text.size() > turn_.answer_bytes_max) {
    Fail(BadResponse(absl::StrCat("it is longer than ", turn_.answer_bytes_max, " bytes")));
    return false;
  }
  answer_ += piece.text;
  tool_call_ = tool_call_ || piece.has_tool_call;
  if (piece.usage) reported_usage_ = piece.usage;
  if (!piece.finish_reason.empty()) {
    finish_reason_ = Sanitised(*turn_.upstream, piece.finish_reason, kFinishReasonBytesMax);
  }
  return true;
}

void OpenAiGeneration::OnDone(absl::Status status) {
  if (sink_ == nullptr) return;
  if (ReasonOf(status) == Reason::CANCELLED) return Fail(std::move(status));
  if (mode_ == Mode::kHttpError) {
    return Fail(StatusOfHttpError(*turn_.upstream, http_status_, http_headers_, body_));
  }
  // Whatever broke after the model had finished, nothing of its answer is missing.
  const bool finished = mode_ == Mode::kStream && !finish_reason_.empty();
  if (!status.ok() && !finished) return Fail(std::move(status));
  mode_ == Mode::kStream ? EndStream(false) : EndWhole();
}

void OpenAiGeneration::EndStream(bool said_done) {
  if (!finish_reason_.empty()) return Complete();
  if (!said_done) {
    if (any_body_ && !any_event_ && !events_.InsideEvent()) {
      return Fail(BadResponse("it is no event stream"));
    }
    return Fail(MakeError(
        Reason::UPSTREAM_TRUNCATED,
        absl::StrCat(turn_.upstream->origin, " ended its stream in the middle of the answer")));
  }
  if (answer_.empty() && !tool_call_) return Fail(BadResponse("its stream held no answer"));
  finish_reason_ = "stop";
  Complete();
}

void OpenAiGeneration::EndWhole() {
  auto piece = reader_.Read(body_, PieceKind::kWhole);
  if (!piece.ok()) return Fail(BadResponse(piece.status().message()));
  const bool has_choice = piece->has_choice || piece->error;
  if (!TakePiece(*std::move(piece))) return;
  if (!has_choice) return Fail(BadResponse("it holds no choice"));
  if (finish_reason_.empty()) finish_reason_ = "stop";
  Complete();
}

void OpenAiGeneration::Complete() {
  if (answer_.empty() && tool_call_) {
    return Fail(BadResponse("it calls a tool, and none was offered"));
  }
  GenerateResult result;
  result.finish_reason = finish_reason_;
  result.usage = Usage(false);
  if (turn_.strict && IsNoContextAnswer(answer_)) {
    result.outcome = Outcome::kNoContext;
  } else {
    result.citations = CitationsIn(answer_, turn_.passages);
  }
  Finish(std::move(result));
}

void OpenAiGeneration::FlushText() {
  if (sink_ == nullptr || flushed_ == answer_.size()) return;
  const size_t from = std::exchange(flushed_, answer_.size());
  sink_->OnDelta(absl::string_view(answer_).substr(from));
}

void OpenAiGeneration::Fail(absl::Status status) {
  GenerateResult result;
  result.usage = Usage(ReasonOf(status) == Reason::CANCELLED);
  result.status = std::move(status);
  Finish(std::move(result));
  Cancel();  // nothing that still comes is of use
}

absl::Status OpenAiGeneration::BadResponse(absl::string_view what) const {
  return MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                   absl::StrCat(turn_.upstream->origin, " gave an answer of no use: ", what));
}

// What remains of the transfer goes on unheard, so that its connection can be used again.
void OpenAiGeneration::Finish(GenerateResult result) {
  FlushText();
  std::exchange(sink_, nullptr)->OnDone(std::move(result));
}

TokenUsage OpenAiGeneration::Usage(bool cancelled) const {
  if (reported_usage_) return *reported_usage_;
  const bool prompt_used = http_status_ == 200 || (cancelled && http_status_ == 0);
  return {prompt_used ? turn_.prompt_tokens : 0, EstimateTokens(answer_), true};
}

}  // namespace aibackend::models
