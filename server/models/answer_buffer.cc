#include "server/models/answer_buffer.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"

namespace aibackend::models {
namespace {

// Of logprobs in memory, for each byte that the answer may have. Twenty alternatives with their
// bytes take some 2.5 KB a token: 64 lets 27,000 tokens through where the answer's limit is its
// default.
constexpr size_t kLogprobsFactor = 64;

}  // namespace

AnswerBuffer::AnswerBuffer(Options options)
    : options_(std::move(options)), calls_(options_.call_id_prefix) {}

bool AnswerBuffer::Fits(size_t bytes) {
  bytes_ += bytes;
  return bytes_ <= options_.bytes_max;
}

void AnswerBuffer::Enter(Kind kind, bool in_order, GenerateSink& sink) {
  if (in_order && kind != kind_) Flush(sink);
  kind_ = kind;
}

absl::Status AnswerBuffer::Take(AnswerPiece piece, bool in_order, GenerateSink& sink) {
  if (!Fits(piece.reasoning.size() + piece.text.size())) {
    return MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                     absl::StrCat("is longer than ", options_.bytes_max, " bytes"));
  }
  logprobs_bytes_ += MemoryBytes(piece.logprobs);
  if (logprobs_bytes_ / kLogprobsFactor > options_.bytes_max) {
    return MakeError(Reason::UPSTREAM_BAD_RESPONSE, "has more logprobs than its text can need");
  }
  if (!piece.reasoning.empty()) {
    Enter(Kind::kReasoning, in_order, sink);
    absl::StrAppend(&reasoning_, piece.reasoning);
  }
  if (!piece.text.empty() || !piece.logprobs.empty()) {
    Enter(Kind::kText, in_order, sink);
    absl::StrAppend(&text_, piece.text);
    new_logprobs_.insert(new_logprobs_.end(), std::make_move_iterator(piece.logprobs.begin()),
                         std::make_move_iterator(piece.logprobs.end()));
  }
  if (piece.tool_calls.empty()) return absl::OkStatus();
  if (!options_.tools_offered) {
    called_unoffered_ = true;
    return absl::OkStatus();
  }
  Enter(Kind::kToolCalls, in_order, sink);
  return TakeCalls(piece.tool_calls);
}

absl::Status AnswerBuffer::TakeCalls(const std::vector<ToolCallPiece>& pieces) {
  for (const ToolCallPiece& piece : pieces) {
    if (!Fits(piece.id.size() + piece.name.size() + piece.arguments.size())) {
      return MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                       absl::StrCat("is longer than ", options_.bytes_max, " bytes"));
    }
    if (!calls_.Take(piece, &new_calls_)) {
      return MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                       absl::StrCat("calls more than ", kToolCallsMax, " tools"));
    }
  }
  return absl::OkStatus();
}

void AnswerBuffer::Flush(GenerateSink& sink) {
  Delta delta(absl::string_view(text_).substr(text_told_));
  delta.reasoning = absl::string_view(reasoning_).substr(reasoning_told_);
  delta.tool_calls = new_calls_;
  delta.logprobs = new_logprobs_;
  if (delta.text.empty() && delta.reasoning.empty() && new_calls_.empty() &&
      new_logprobs_.empty()) {
    return;
  }
  text_told_ = text_.size();
  reasoning_told_ = reasoning_.size();
  sink.OnDelta(delta);
  new_calls_.clear();
  new_logprobs_.clear();
}

int AnswerBuffer::EstimateReasoningTokens() const {
  return aibackend::EstimateTokens(reasoning_);
}

int AnswerBuffer::EstimateTokens() const {
  return aibackend::EstimateTokens(text_) + EstimateReasoningTokens() + calls_.EstimateTokens();
}

}  // namespace aibackend::models
