#include "server/chat/context_packing.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "server/base/text.h"
#include "server/models/grounding_prompt.h"
#include "server/retrieval/sentences.h"

namespace aibackend::chat {
namespace {

using models::Passage;

size_t EndOf(const Passage& passage) {
  return passage.start + passage.text.size();
}

// Keeps bytes [start, end) of the document, less the white space at either end.
void CutTo(size_t start, size_t end, Passage& passage) {
  absl::string_view text =
      absl::string_view(passage.text).substr(start - passage.start, end - start);
  text = absl::StripTrailingAsciiWhitespace(text);
  const size_t before = text.size();
  text = absl::StripLeadingAsciiWhitespace(text);
  passage.start = start + before - text.size();
  passage.text = std::string(text);
}

// Takes off `passage` what `better` holds of the same document. Where that lies in the middle, the
// longer side stays.
void CutOverlap(const Passage& better, Passage& passage) {
  if (better.document_id != passage.document_id) return;
  const size_t start = std::max(better.start, passage.start);
  const size_t end = std::min(EndOf(better), EndOf(passage));
  if (start >= end) return;
  if (start - passage.start >= EndOf(passage) - end) {
    CutTo(passage.start, start, passage);
  } else {
    CutTo(end, EndOf(passage), passage);
  }
}

// The longest prefix of whole sentences within `tokens`, or else of whole characters.
void CutToTokens(int tokens, Passage& passage) {
  const absl::string_view text = passage.text;
  size_t bytes = 0;
  for (const retrieval::Sentence& sentence : retrieval::SplitSentences(text)) {
    if (EstimateTokens(text.substr(0, sentence.end)) > tokens) break;
    bytes = sentence.end;
  }
  if (bytes == 0) {
    size_t low = 0;
    size_t high = text.size();
    while (low < high) {
      const size_t middle = (low + high + 1) / 2;
      const bool fits = EstimateTokens(Utf8Prefix(text, middle)) <= tokens;
      (fits ? low : high) = fits ? middle : middle - 1;
    }
    bytes = Utf8Prefix(text, low).size();
  }
  passage.text.resize(bytes);
}

}  // namespace

int PassageTokensWithin(const models::ModelInfo& model, const models::GenerateRequest& request) {
  if (model.context_tokens == 0) return kPassageTokensDefault;
  models::GenerateRequest rule;
  rule.grounding.emplace();
  rule.grounding->strict = request.grounding && request.grounding->strict;
  rule.response_format = request.response_format;
  int answer = request.max_tokens.value_or(model.answer_tokens_default);
  if (answer == 0) answer = kAnswerTokensReserved;
  const int left = model.context_tokens - models::EstimatePromptTokens(request) -
                   EstimateTokens(models::GroundingPrompt(rule)) - answer;
  return std::max(left, kPassageTokensMin);
}

std::vector<Passage> PackPassages(std::vector<Passage> found, int tokens_max) {
  std::vector<Passage> packed;
  int left = tokens_max;
  for (Passage& passage : found) {
    for (const Passage& better : packed) CutOverlap(better, passage);
    if (passage.text.empty()) continue;
    if (packed.empty() && models::PassageTokens(passage) > left) {
      Passage fence = passage;
      fence.text.clear();
      CutToTokens(left - models::PassageTokens(fence) - 1, passage);
      if (passage.text.empty()) continue;
    }
    const int tokens = models::PassageTokens(passage);
    if (tokens > left) continue;
    left -= tokens;
    packed.push_back(std::move(passage));
  }
  return packed;
}

}  // namespace aibackend::chat
