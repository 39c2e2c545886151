// How passages of documents reach a language model that knows nothing of them, and how its answer's
// markers become citations.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// The passages a prompt carries, numbered from 1 in the order of their rank: those that fit into
// `bytes_max` bytes of text together. A first passage that alone is too long is cut at a character;
// its text here is what the model saw, so that a citation claims no more.
std::vector<Passage> PassagesWithin(const Grounding& grounding, size_t bytes_max);

// The text of the system message: the rule (use and cite; if `strict`, answer from these alone or
// reply with kNoContextAnswer) and the passages, fenced so that what stands in them reads as data.
// A document can't close its fence: fence tags inside it are broken up.
std::string GroundingPrompt(const std::vector<Passage>& given, bool strict);

// One citation for each passage of `given` whose marker stands in `answer`: [n], also in a list
// such as [1, 3]. In the order of the passages, each once; numbers of no passage are ignored.
std::vector<Citation> CitationsIn(absl::string_view answer, const std::vector<Passage>& given);

// True if `answer` is kNoContextAnswer, give or take surrounding space.
bool IsNoContextAnswer(absl::string_view answer);

}  // namespace aibackend::models
