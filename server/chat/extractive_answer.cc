#include "server/chat/extractive_answer.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/retrieval/sentences.h"

namespace aibackend::chat {
namespace {

using models::Citation;
using models::Grounding;
using models::Passage;
using retrieval::Retriever;
using retrieval::Sentence;

// The answer is nearly always in the first passages, and reading more costs time.
constexpr size_t kPassagesMax = 5;
constexpr size_t kSentencesMax = 3;

constexpr double kBeforeWeight = 0.5;
constexpr double kAfterWeight = 0.25;
constexpr double kTypeWeight = 0.25;
constexpr double kPairWeight = 0.2;
constexpr double kPassageWeight = 0.3;

// A further sentence joins if it scores this share of the best ...
constexpr double kNearlyAsGood = 0.93;
// ... or this share and it holds so much of the question's mass that no sentence chosen holds.
constexpr double kGoodEnough = 0.5;
constexpr double kNewMassMin = 0.2;

using TermSet = absl::flat_hash_set<std::string>;

retrieval::CollectionId CollectionOf(const models::Grounding& grounding) {
  return {grounding.collection, grounding.tenant};
}

std::vector<std::string> TermsOf(const Retriever& retriever, absl::string_view text,
                                 const retrieval::CollectionId& collection) {
  std::vector<std::string> terms;
  for (auto& t : retriever.Analyze(text, collection)) terms.push_back(std::move(t.term));
  return terms;
}

// --- What the question asks for

enum class AnswerType { kAny, kNumber, kDate, kName, kReason };

bool HasAny(absl::string_view text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return absl::StrContains(text, word); });
}

AnswerType TypeOf(absl::string_view question) {
  const std::string q = absl::StrCat(" ", absl::AsciiStrToLower(question), " ");
  if (HasAny(q, {" how many ", " how much ", " how old ", " how long ", " how far ", " how often ",
                 " how large ", " how big ", " how tall ", " how high ", " what percent",
                 " what number ", "何人", "何回", "何個", "いくつ", "いくら"})) {
    return AnswerType::kNumber;
  }
  if (HasAny(q, {" when ", " what year ", " which year ", " what date ", " what day ",
                 " what century ", "いつ", "何年", "何月"})) {
    return AnswerType::kDate;
  }
  if (HasAny(q, {" why ", "なぜ", "どうして"})) return AnswerType::kReason;
  if (HasAny(q, {" who ", " whom ", " whose ", " where ", " who's "})) return AnswerType::kName;
  return AnswerType::kAny;
}

bool HasDigit(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isdigit(c); });
}

bool HasDate(absl::string_view lower) {
  size_t digits = 0;
  for (const char c : lower) {
    digits = absl::ascii_isdigit(static_cast<unsigned char>(c)) ? digits + 1 : 0;
    if (digits == 4) return true;
  }
  if (HasAny(lower, {"年", "月", "日", "century", "centuries", " ago"})) return true;
  return HasDigit(lower) &&
         HasAny(lower, {"january", "february", "march", "april", "may", "june", "july", "august",
                        "september", "october", "november", "december"});
}

// A capitalised word behind the first.
bool HasName(absl::string_view sentence) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(sentence, absl::ByAnyChar(" \n\t"), absl::SkipEmpty());
  for (size_t i = 1; i < words.size(); ++i) {
    const absl::string_view word = absl::StripPrefix(words[i], "\"");
    if (!word.empty() && absl::ascii_isupper(static_cast<unsigned char>(word[0]))) return true;
  }
  return false;
}

bool Fits(AnswerType type, absl::string_view sentence) {
  const std::string lower = absl::StrCat(" ", absl::AsciiStrToLower(sentence), " ");
  switch (type) {
    case AnswerType::kNumber:
      return HasDigit(lower) ||
             HasAny(lower, {" one ", " two ", " three ", " four ", " five ", " six ", " seven ",
                            " eight ", " nine ", " ten ", " twelve ", " dozen", " hundred",
                            " thousand", " million", " half "});
    case AnswerType::kDate:
      return HasDate(lower);
    case AnswerType::kName:
      return HasName(sentence);
    case AnswerType::kReason:
      return HasAny(lower, {"because", "due to", " since ", "in order to", "so that", "reason",
                            "as a result", "therefore", "ため", "から", "ので"});
    case AnswerType::kAny:
      return false;
  }
  return false;
}

// --- Scoring

struct Question {
  absl::flat_hash_map<std::string, double> share;  // of each distinct term in the idf mass
  absl::flat_hash_set<std::pair<std::string, std::string>> pairs;
  AnswerType type = AnswerType::kAny;
};

Question Read(const Retriever& retriever, absl::string_view text,
              const retrieval::CollectionId& collection) {
  Question question;
  question.type = TypeOf(text);
  const auto terms = retriever.Analyze(text, collection);
  double mass = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (question.share.emplace(terms[i].term, terms[i].idf).second) mass += terms[i].idf;
    if (i > 0) question.pairs.emplace(terms[i - 1].term, terms[i].term);
  }
  for (auto& [term, share] : question.share) share = mass > 0 ? share / mass : 0;
  return question;
}

struct Candidate {
  size_t passage = 0;  // its place in the grounding
  Sentence place;      // in the passage's text
  TermSet terms;
  double score = 0;
  bool is_answer = true;  // false for headings and questions: they only lend their terms
};

// The question's mass in `terms`, but for what one of `except` holds.
double Mass(const Question& question, const TermSet& terms,
            std::initializer_list<const TermSet*> except) {
  double mass = 0;
  for (const auto& [term, share] : question.share) {
    const bool is_excepted = std::any_of(
        except.begin(), except.end(), [&, t = &term](const TermSet* s) { return s->contains(*t); });
    if (!is_excepted && terms.contains(term)) mass += share;
  }
  return mass;
}

double PairShare(const Question& question, const std::vector<std::string>& terms) {
  if (question.pairs.empty()) return 0;
  absl::flat_hash_set<std::pair<std::string, std::string>> found;
  for (size_t i = 0; i + 1 < terms.size(); ++i) {
    const std::pair<std::string, std::string> pair(terms[i], terms[i + 1]);
    if (question.pairs.contains(pair)) found.insert(pair);
  }
  return static_cast<double>(found.size()) / static_cast<double>(question.pairs.size());
}

std::vector<Candidate> ReadPassage(const Retriever& retriever, const Question& question,
                                   const Grounding& grounding, size_t index) {
  const Passage& passage = grounding.passages[index];
  const auto text_of = [&](const Sentence& s) {
    return absl::string_view(passage.text).substr(s.start, s.end - s.start);
  };
  std::vector<Candidate> candidates;
  for (const Sentence& place : retrieval::SplitSentences(passage.text)) {
    const absl::string_view text = text_of(place);
    const std::vector<std::string> terms = TermsOf(retriever, text, CollectionOf(grounding));
    const bool is_question = absl::EndsWith(text, "?") || absl::EndsWith(text, "？");
    Candidate candidate{index, place, TermSet(terms.begin(), terms.end()), 0,
                        !place.is_heading && !is_question};
    candidate.score = kTypeWeight * (Fits(question.type, text) ? 1 : 0) +
                      kPairWeight * PairShare(question, terms) + kPassageWeight * passage.score;
    candidates.push_back(std::move(candidate));
  }
  const std::vector<std::string> title = TermsOf(retriever, passage.title, CollectionOf(grounding));
  const TermSet title_terms(title.begin(), title.end());
  for (size_t i = 0; i < candidates.size(); ++i) {
    TermSet before = title_terms;
    if (i > 0) before.insert(candidates[i - 1].terms.begin(), candidates[i - 1].terms.end());
    const TermSet& own = candidates[i].terms;
    candidates[i].score += Mass(question, own, {}) + kBeforeWeight * Mass(question, before, {&own});
    if (i + 1 < candidates.size()) {
      candidates[i].score +=
          kAfterWeight * Mass(question, candidates[i + 1].terms, {&own, &before});
    }
  }
  return candidates;
}

// Candidates of all passages, best first; a sentence that overlapping passages share counts once.
std::vector<Candidate> RankSentences(const Retriever& retriever, const Question& question,
                                     const Grounding& grounding) {
  std::vector<Candidate> ranked;
  absl::flat_hash_set<std::pair<std::string, size_t>> seen;
  const size_t passages = std::min(grounding.passages.size(), kPassagesMax);
  for (size_t i = 0; i < passages; ++i) {
    const Passage& passage = grounding.passages[i];
    for (Candidate& candidate : ReadPassage(retriever, question, grounding, i)) {
      if (seen.emplace(passage.document_id, passage.start + candidate.place.start).second) {
        ranked.push_back(std::move(candidate));
      }
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Candidate& a, const Candidate& b) {
    return a.is_answer != b.is_answer ? a.is_answer : a.score > b.score;
  });
  return ranked;
}

std::vector<const Candidate*> Choose(const Question& question,
                                     const std::vector<Candidate>& ranked) {
  std::vector<const Candidate*> chosen;
  TermSet held;
  for (const Candidate& candidate : ranked) {
    if (chosen.size() == kSentencesMax) break;
    if (!chosen.empty()) {
      const double best = chosen.front()->score;
      const bool is_nearly_as_good = candidate.score >= kNearlyAsGood * best;
      const bool adds = candidate.score >= kGoodEnough * best &&
                        Mass(question, candidate.terms, {&held}) >= kNewMassMin;
      if (!candidate.is_answer || (!is_nearly_as_good && !adds)) continue;
    }
    chosen.push_back(&candidate);
    held.insert(candidate.terms.begin(), candidate.terms.end());
  }
  return chosen;
}

}  // namespace

ExtractiveAnswer ComposeAnswer(const Retriever& retriever, absl::string_view question,
                               const Grounding& grounding) {
  const Question read = Read(retriever, question, CollectionOf(grounding));
  const std::vector<Candidate> ranked = RankSentences(retriever, read, grounding);
  std::vector<Citation> citations;
  for (const Candidate* c : Choose(read, ranked)) {
    const Passage& passage = grounding.passages[c->passage];
    citations.push_back({passage.document_id, passage.chunk_id, passage.title, passage.source,
                         passage.text.substr(c->place.start, c->place.end - c->place.start),
                         passage.start + c->place.start, passage.start + c->place.end});
  }
  // The best sentence's document first, and each document's sentences in its order.
  std::vector<std::string> documents;
  documents.reserve(citations.size());
  for (const Citation& c : citations) documents.push_back(c.document_id);
  const auto rank = [&](const Citation& c) {
    return std::find(documents.begin(), documents.end(), c.document_id) - documents.begin();
  };
  std::sort(citations.begin(), citations.end(), [&](const Citation& a, const Citation& b) {
    return std::make_pair(rank(a), a.start) < std::make_pair(rank(b), b.start);
  });
  ExtractiveAnswer answer;
  for (const Citation& c : citations) {
    absl::StrAppend(&answer.text, answer.text.empty() ? "" : " ", c.text);
  }
  answer.citations = std::move(citations);
  return answer;
}

void TruncateAnswer(ExtractiveAnswer& answer, size_t bytes) {
  if (bytes >= answer.text.size()) return;
  answer.text.resize(bytes);
  size_t start = 0;  // of the citation in the whole text
  size_t kept = 0;
  for (Citation& citation : answer.citations) {
    if (start >= bytes) break;
    const size_t size = citation.text.size();
    citation.text.resize(std::min(size, bytes - start));
    citation.end = citation.start + citation.text.size();
    start += size + 1;
    ++kept;
  }
  answer.citations.resize(kept);
}

}  // namespace aibackend::chat
