#include "server/chat/turn_feed.h"

#include <algorithm>
#include <tuple>

namespace aibackend::chat {
namespace {

using Kind = FeedEvent::Kind;

// Of one event, so that a reader far behind gets messages of a size that any client takes.
constexpr size_t kEventBytesMax = size_t{256} * 1024;
constexpr size_t kEventTokensMax = 1024;  // with logprobs: up to a kilobyte each

size_t BytesOf(const TurnResult& result) {
  size_t bytes = sizeof(TurnResult) + result.answer.text.capacity() +
                 result.answer.reasoning.capacity() + models::MemoryBytes(result.answer.logprobs);
  for (const models::ToolCall& call : result.answer.tool_calls) {
    bytes += sizeof(call) + call.id.size() + call.name.size() + call.arguments.size();
  }
  for (const models::Citation& citation : result.citations) {
    bytes += sizeof(citation) + citation.text.size() + citation.title.size() +
             citation.source.size() + citation.document_id.size() + citation.chunk_id.size();
  }
  return bytes;
}

bool Remove(absl::InlinedVector<FeedReader*, 1>& readers, FeedReader* reader) {
  const auto found = std::find(readers.begin(), readers.end(), reader);
  if (found == readers.end()) return false;
  readers.erase(found);
  return true;
}

}  // namespace

void TurnFeed::OnDelta(const models::Delta& delta) {
  if (keep_ == Keep::kEndOnly) return;
  Readers woken;
  {
    absl::MutexLock lock(&mutex_);
    Piece piece;
    if (!delta.reasoning.empty()) {
      piece.kind = Kind::kReasoning;
      Append(piece, delta.reasoning, {});
    }
    if (!delta.text.empty() || !delta.logprobs.empty()) {
      piece.kind = Kind::kText;
      Append(piece, delta.text, delta.logprobs);
    }
    for (const models::ToolCallDelta& call : delta.tool_calls) AppendToolCall(call);
    woken.swap(waiting_);
  }
  for (FeedReader* reader : woken) reader->OnNews();
}

void TurnFeed::OnDone(TurnResult result) {
  Readers woken;
  {
    absl::MutexLock lock(&mutex_);
    result_ = std::move(result);
    ended_ = true;
    woken.swap(waiting_);
    woken.insert(woken.end(), waiting_for_end_.begin(), waiting_for_end_.end());
    waiting_for_end_.clear();
  }
  for (FeedReader* reader : woken) reader->OnNews();
}

bool TurnFeed::Attach(FeedReader& reader, int64_t after) {
  absl::MutexLock lock(&mutex_);
  if (after < 0 || after > sequence_ + (ended_ ? 1 : 0)) return false;
  reader.next_piece_ = static_cast<size_t>(std::min(after, sequence_));
  return true;
}

void TurnFeed::AttachForEnd(FeedReader& reader) {
  absl::MutexLock lock(&mutex_);
  reader.end_only_ = true;
}

TurnFeed::Next TurnFeed::Take(FeedReader& reader, FeedEvent* event) {
  absl::MutexLock lock(&mutex_);
  if (reader.left_) return Next::kLeft;
  const size_t first = reader.next_piece_;
  if (!reader.end_only_ && first < pieces_.size()) {
    size_t last = first;
    while (last + 1 < pieces_.size() && Joins(first, pieces_[last + 1])) ++last;
    reader.next_piece_ = last + 1;
    Fill(first, last, *event);
    if (keep_ == Keep::kUntilRead && reader.next_piece_ == pieces_.size()) {
      reader.next_piece_ = 0;
      pieces_.clear();
      bytes_.clear();
      logprobs_.clear();
      heads_.clear();
    }
    return Next::kEvent;
  }
  if (ended_) return Next::kEnd;
  (reader.end_only_ ? waiting_for_end_ : waiting_).push_back(&reader);
  return Next::kWait;
}

bool TurnFeed::Leave(FeedReader& reader) {
  absl::MutexLock lock(&mutex_);
  reader.left_ = true;
  return Remove(waiting_, &reader) || Remove(waiting_for_end_, &reader);
}

size_t TurnFeed::memory_bytes() const {
  absl::MutexLock lock(&mutex_);
  return sizeof(TurnFeed) + bytes_.capacity() + pieces_.capacity() * sizeof(Piece) +
         models::MemoryBytes(logprobs_) + BytesOf(result_);
}

void TurnFeed::AppendToolCall(const models::ToolCallDelta& call) {
  Piece piece;
  piece.kind = Kind::kToolCall;
  piece.tool_index = call.index;
  if (!call.id.empty() || !call.name.empty()) {
    piece.head = static_cast<int32_t>(heads_.size());
    heads_.emplace_back(call.id, call.name);
  }
  Append(piece, call.arguments, {});
}

// What is kept until it is read grows its last piece where it can: nobody asks for a place inside.
void TurnFeed::Append(Piece piece, absl::string_view text,
                      absl::Span<const models::TokenLogprob> logprobs) {
  bytes_.append(text.data(), text.size());
  logprobs_.insert(logprobs_.end(), logprobs.begin(), logprobs.end());
  piece.sequence = ++sequence_;
  piece.bytes_end = bytes_.size();
  piece.tokens_end = logprobs_.size();
  if (keep_ == Keep::kUntilRead && !pieces_.empty() && Joins(pieces_.size() - 1, piece)) {
    piece.head = pieces_.back().head;
    pieces_.back() = piece;
  } else {
    pieces_.push_back(piece);
  }
}

TurnFeed::Piece TurnFeed::EndBefore(size_t piece) const {
  return piece == 0 ? Piece() : pieces_[piece - 1];
}

// True: `next` may stand in one event with the pieces from `first` on.
bool TurnFeed::Joins(size_t first, const Piece& next) const {
  const Piece& head = pieces_[first];
  const Piece start = EndBefore(first);
  return next.kind == head.kind && next.tool_index == head.tool_index && next.head < 0 &&
         next.bytes_end - start.bytes_end <= kEventBytesMax &&
         next.tokens_end - start.tokens_end <= kEventTokensMax;
}

void TurnFeed::Fill(size_t first, size_t last, FeedEvent& event) {
  const Piece start = EndBefore(first);
  const Piece& end = pieces_[last];
  const Piece& head = pieces_[first];
  const bool is_all = keep_ == Keep::kUntilRead && first == 0 && last + 1 == pieces_.size();
  event.kind = head.kind;
  event.sequence = end.sequence;
  std::string& text = head.kind == Kind::kToolCall ? event.tool_call.arguments : event.text;
  if (is_all) {
    text.swap(bytes_);
    event.logprobs.swap(logprobs_);
  } else {
    text.assign(bytes_, start.bytes_end, end.bytes_end - start.bytes_end);
    event.logprobs.assign(logprobs_.begin() + start.tokens_end, logprobs_.begin() + end.tokens_end);
  }
  if (head.kind != Kind::kToolCall) return;
  event.tool_call.index = head.tool_index;
  std::tie(event.tool_call.id, event.tool_call.name) =
      head.head < 0 ? std::pair<std::string, std::string>() : heads_[head.head];
}

}  // namespace aibackend::chat
