// Writes the JSON of OpenAI's answers, in the order in which it is told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace aibackend::gateway {

// One object. Names are this program's own: they are not escaped.
class ObjectWriter {
 public:
  ObjectWriter& Raw(absl::string_view name, absl::string_view json);  // JSON already
  ObjectWriter& String(absl::string_view name, absl::string_view text);
  ObjectWriter& Number(absl::string_view name, int64_t number);
  // "{…}"
  std::string Text() const { return text_.empty() ? "{}" : text_ + "}"; }
  // The members alone, to be put among others; empty where there are none.
  std::string Members() const { return text_.empty() ? std::string() : text_.substr(1); }

 private:
  std::string text_;
};

std::string Quoted(absl::string_view text);

// "[a,b]" of what is JSON already.
std::string ListText(const std::vector<std::string>& elements);

}  // namespace aibackend::gateway
