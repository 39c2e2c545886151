// The JSON object that goes to an upstream: what an adapter writes, and the request's `extra`.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "server/models/json_text.h"

namespace aibackend::models {

class UpstreamBody {
 public:
  // `extra` is a JSON object, or empty; anything else counts as empty (the edge refuses it). Its
  // members win over the adapter's own, but those in `fixed` are dropped.
  UpstreamBody(absl::string_view extra, absl::Span<const absl::string_view> fixed);

  UpstreamBody(const UpstreamBody&) = delete;  // members_ are views into extra_
  UpstreamBody& operator=(const UpstreamBody&) = delete;

  // Begins a member whose value is to be written next; false, and nothing, where extra has it.
  bool Begin(absl::string_view name);
  void Add(absl::string_view name, absl::string_view text);
  void Add(absl::string_view name, const absl::optional<double>& number);
  void Add(absl::string_view name, const absl::optional<int>& number);
  JsonWriter& json() { return json_; }

  // What extra says of `name`, as JSON; empty: nothing.
  absl::string_view Extra(absl::string_view name) const;
  // The same, and the adapter says it in its own way.
  std::string TakeExtra(absl::string_view name);

  // The end: once.
  std::string Finish();

 private:
  const std::string extra_;
  std::vector<JsonMember> members_;  // of extra_
  JsonWriter json_;
};

}  // namespace aibackend::models
