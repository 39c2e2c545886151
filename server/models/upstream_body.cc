#include "server/models/upstream_body.h"

#include <algorithm>
#include <utility>

namespace aibackend::models {

UpstreamBody::UpstreamBody(absl::string_view extra, absl::Span<const absl::string_view> fixed)
    : extra_(extra) {
  if (!extra_.empty()) members_ = JsonMembers(extra_).value_or(std::vector<JsonMember>());
  const auto is_fixed = [&](const JsonMember& member) {
    return std::find(fixed.begin(), fixed.end(), member.name) != fixed.end();
  };
  members_.erase(std::remove_if(members_.begin(), members_.end(), is_fixed), members_.end());
  json_.BeginObject();
}

bool UpstreamBody::Begin(absl::string_view name) {
  if (!Extra(name).empty()) return false;
  json_.Name(name);
  return true;
}

void UpstreamBody::Add(absl::string_view name, absl::string_view text) {
  if (Begin(name)) json_.String(text);
}

void UpstreamBody::Add(absl::string_view name, const absl::optional<double>& number) {
  if (number && Begin(name)) json_.Double(*number);
}

void UpstreamBody::Add(absl::string_view name, const absl::optional<int>& number) {
  if (number && Begin(name)) json_.Integer(*number);
}

absl::string_view UpstreamBody::Extra(absl::string_view name) const {
  for (const JsonMember& member : members_) {
    if (member.name == name) return member.value;
  }
  return {};
}

std::string UpstreamBody::TakeExtra(absl::string_view name) {
  std::string value(Extra(name));
  const auto is_named = [&](const JsonMember& member) { return member.name == name; };
  members_.erase(std::remove_if(members_.begin(), members_.end(), is_named), members_.end());
  return value;
}

std::string UpstreamBody::Finish() {
  for (const JsonMember& member : members_) json_.Name(member.name).Raw(member.value);
  return json_.EndObject().Take();
}

}  // namespace aibackend::models
