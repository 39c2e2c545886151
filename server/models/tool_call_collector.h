// The tool calls of one answer: what upstreams tell in many ways, told as the port promises.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// More in one answer is a runaway.
inline constexpr size_t kToolCallsMax = 128;

// A piece belongs to the call of its place; without one, to the call of its id, else to the last.
// It begins a call of its own all the same where it brings a name and an id that is another's, or,
// where ids are missing, a name after arguments that are complete: there are servers that give all
// calls one place. A name or an id that comes again is no news, and neither is another id without a
// name: there are servers that make one up for each piece.
//
// Calls are numbered from 0 in the order in which their names came; arguments that came before the
// name wait for it. A call without an id gets one. Not thread-safe.
class ToolCallCollector {
 public:
  // `id_prefix` of the ids made here: of the turn, so that they are of one call alone.
  explicit ToolCallCollector(std::string id_prefix) : id_prefix_(std::move(id_prefix)) {}

  // Appends what is new to `news`, to its last delta if that is of the same call. False: there are
  // more than kToolCallsMax.
  bool Take(const ToolCallPiece& piece, std::vector<ToolCallDelta>* news);
  // The answer ended well: arguments that stayed empty become "{}", which is what they mean.
  void End(std::vector<ToolCallDelta>* news);

  bool empty() const { return calls_.empty(); }
  // Of some call no name came.
  bool HasNameless() const;
  // The last call's arguments stop in the middle.
  bool IsCut() const;
  int EstimateTokens() const;  // of the arguments

 private:
  // Whether arguments that come in pieces are one whole object by now, by their brackets alone.
  class Balance {
   public:
    void Feed(absl::string_view piece);
    bool closed() const { return opened_ && depth_ == 0; }

   private:
    bool opened_ = false;
    bool in_string_ = false;
    bool escaped_ = false;
    int64_t depth_ = 0;
  };

  struct Call {
    absl::optional<int64_t> place;
    std::string id;  // the upstream's
    int index = -1;  // -1: no name yet
    std::string arguments;
    Balance balance;  // of the arguments
  };

  Call* Find(const ToolCallPiece& piece);
  static bool BeginsAnother(const Call& call, const ToolCallPiece& piece);
  void Tell(const Call& call, absl::string_view arguments, std::vector<ToolCallDelta>* news) const;

  const std::string id_prefix_;
  std::vector<Call> calls_;
  int named_ = 0;
};

}  // namespace aibackend::models
