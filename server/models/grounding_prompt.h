// How passages of documents reach a language model that knows nothing of them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// The text of the system message of a request with a grounding: the rule (use and cite, see
// citation_marker.h; if strict, answer from these alone or reply with kNoContextAnswer) and the
// passages, numbered from 1 and fenced so that what stands in them reads as data. A document can't
// close its fence: fence tags inside it are broken up. For an answer in JSON, which marks would
// break, it doesn't ask for them.
std::string GroundingPrompt(const GenerateRequest& request);

// True if the answer to `request` is to hold citation marks: there is a grounding, and the answer's
// form is text.
bool WantsMarks(const GenerateRequest& request);

// What a passage adds to the prompt, estimated.
int PassageTokens(const Passage& passage);

// True if `answer` is kNoContextAnswer, give or take surrounding space.
bool IsNoContextAnswer(absl::string_view answer);

}  // namespace aibackend::models
