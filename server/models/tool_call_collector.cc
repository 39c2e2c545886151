#include "server/models/tool_call_collector.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/models/json_text.h"

namespace aibackend::models {

void ToolCallCollector::Balance::Feed(absl::string_view piece) {
  for (const char c : piece) {
    if (in_string_) {
      in_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      opened_ = true;
      ++depth_;
    } else if (c == '}' || c == ']') {
      --depth_;
    }
  }
}

ToolCallCollector::Call* ToolCallCollector::Find(const ToolCallPiece& piece) {
  if (calls_.empty()) return nullptr;
  if (piece.place) {
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
      if (call->place == piece.place) return &*call;
    }
    return nullptr;
  }
  for (auto call = calls_.rbegin(); call != calls_.rend() && !piece.id.empty(); ++call) {
    if (call->id == piece.id) return &*call;
  }
  return &calls_.back();
}

bool ToolCallCollector::BeginsAnother(const Call& call, const ToolCallPiece& piece) {
  if (piece.name.empty()) return false;
  if (!piece.id.empty() && !call.id.empty()) return piece.id != call.id;
  return call.index >= 0 && !piece.arguments.empty() && call.balance.closed();
}

bool ToolCallCollector::Take(const ToolCallPiece& piece, std::vector<ToolCallDelta>* news) {
  Call* call = Find(piece);
  if (call == nullptr || BeginsAnother(*call, piece)) {
    if (calls_.size() == kToolCallsMax) return false;
    call = &calls_.emplace_back();
    call->place = piece.place;
  }
  if (call->id.empty()) call->id = std::string(piece.id);
  call->balance.Feed(piece.arguments);
  call->arguments.append(piece.arguments.data(), piece.arguments.size());
  if (call->index >= 0) {
    if (!piece.arguments.empty()) Tell(*call, piece.arguments, news);
  } else if (!piece.name.empty()) {
    call->index = named_++;
    ToolCallDelta& first = news->emplace_back();
    first.index = call->index;
    first.id = call->id.empty() ? absl::StrCat(id_prefix_, call->index) : call->id;
    first.name = std::string(piece.name);
    first.arguments = call->arguments;
  }
  return true;
}

void ToolCallCollector::Tell(const Call& call, absl::string_view arguments,
                             std::vector<ToolCallDelta>* news) const {
  if (news->empty() || news->back().index != call.index) {
    news->emplace_back().index = call.index;
  }
  news->back().arguments.append(arguments.data(), arguments.size());
}

void ToolCallCollector::End(std::vector<ToolCallDelta>* news) {
  for (Call& call : calls_) {
    if (call.index < 0 || !call.arguments.empty()) continue;
    call.arguments = "{}";
    Tell(call, call.arguments, news);
  }
}

bool ToolCallCollector::HasNameless() const {
  return std::any_of(calls_.begin(), calls_.end(), [](const Call& call) { return call.index < 0; });
}

bool ToolCallCollector::IsCut() const {
  return !calls_.empty() && !IsJsonObject(calls_.back().arguments);
}

int ToolCallCollector::EstimateTokens() const {
  int tokens = 0;
  for (const Call& call : calls_) tokens += aibackend::EstimateTokens(call.arguments);
  return tokens;
}

}  // namespace aibackend::models
