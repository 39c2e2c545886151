// Rules on the texts within JSON.
#pragma once

#include <string>

#include "server/guard/guardrails.h"

namespace aibackend::chat {

// Applies the rules to each string of `json`, which is JSON, by itself and without its escapes;
// names are strings, too. What a mask changes is written anew, all else stays byte for byte. Gives
// the rule that blocks a string, or null.
//
// A long string of nothing but base64, as it is or in a data: URL, is a file, and no text: it is
// left alone.
const guard::CompiledRule* GuardJson(const guard::Guardrails::Rules& rules,
                                     guard::Outcomes& outcomes, std::string& json);

}  // namespace aibackend::chat
