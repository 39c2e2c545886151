#include "server/chat/extractive_model.h"

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/chat/extractive_answer.h"

namespace aibackend::chat {
namespace {

using models::GenerateRequest;
using models::GenerateResult;
using models::GenerateSink;
using models::Outcome;

// Where each word of `text` ends, with what follows it up to the next word; the last is the end of
// the text. ICU finds words in Chinese and Japanese too.
std::vector<size_t> WordEnds(const std::string& text) {
  std::vector<size_t> ends;
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<icu::BreakIterator> breaks(
      icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), error));
  UText utext = UTEXT_INITIALIZER;
  utext_openUTF8(&utext, text.data(), static_cast<int64_t>(text.size()), &error);
  if (U_SUCCESS(error)) {
    breaks->setText(&utext, error);
    bool has_word = false;
    int32_t start = breaks->first();
    for (int32_t end = breaks->next(); end != icu::BreakIterator::DONE; end = breaks->next()) {
      const bool is_word = breaks->getRuleStatus() >= UBRK_WORD_NONE_LIMIT;
      if (is_word && has_word) ends.push_back(static_cast<size_t>(start));
      has_word = has_word || is_word;
      start = end;
    }
  }
  utext_close(&utext);
  if (!text.empty()) ends.push_back(text.size());
  return ends;
}

// Where the text ends after the last whole word that `tokens_max` tokens have room for.
size_t BytesWithin(const std::string& text, int tokens_max) {
  const absl::string_view all = text;
  size_t bytes = 0;
  for (const size_t end : WordEnds(text)) {
    const absl::string_view prefix = absl::StripTrailingAsciiWhitespace(all.substr(0, end));
    if (EstimateTokens(prefix) > tokens_max) break;
    bytes = prefix.size();
  }
  return bytes;
}

bool HasContext(const GenerateRequest& request) {
  return request.grounding.has_value() && !request.grounding->passages.empty() &&
         request.grounding->confidence >= models::kConfidenceMin;
}

int PromptTokens(const GenerateRequest& request) {
  int tokens = 0;
  for (const auto& message : request.messages) tokens += EstimateTokens(TextOf(message));
  if (request.grounding.has_value()) {
    for (const auto& passage : request.grounding->passages) tokens += EstimateTokens(passage.text);
  }
  return tokens;
}

// Sends an answer that is known already. Its steps run on the timer's thread, one at a time.
class Delivery final : public models::Generation, public std::enable_shared_from_this<Delivery> {
 public:
  Delivery(Timer& timer, absl::Duration interval, ExtractiveAnswer answer, GenerateResult result,
           bool in_words, std::shared_ptr<GenerateSink> sink)
      : timer_(timer),
        interval_(interval),
        answer_(std::move(answer)),
        ends_(in_words               ? WordEnds(answer_.text)
              : answer_.text.empty() ? std::vector<size_t>{}
                                     : std::vector<size_t>{answer_.text.size()}),
        started_(absl::Now()),
        sink_(std::move(sink)),
        result_(std::move(result)) {}

  void Start() {
    absl::MutexLock lock(&mutex_);
    Schedule(started_);
  }

  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    if (is_cancelled_ || is_done_) return;
    is_cancelled_ = true;
    // Not pending: a step is running, and looks again before it sends more.
    if (timer_.Cancel(pending_)) Schedule(absl::Now());
  }

 private:
  void Schedule(absl::Time when) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    pending_ = timer_.At(when, [self = shared_from_this()] { self->Step(); });
  }

  // Sends every word that is due, then waits for the next or ends.
  void Step() {
    for (;;) {
      absl::string_view word;
      {
        absl::MutexLock lock(&mutex_);
        if (is_done_) return;
        if (is_cancelled_ || next_ == ends_.size()) {
          is_done_ = true;
          break;
        }
        const absl::Time due = started_ + static_cast<double>(next_) * interval_;
        if (due > absl::Now()) {
          Schedule(due);
          return;
        }
        const size_t start = next_ == 0 ? 0 : ends_[next_ - 1];
        word = absl::string_view(answer_.text).substr(start, ends_[next_] - start);
        ++next_;
      }
      models::Delta delta(word);
      delta.is_quoted = true;
      sink_->OnDelta(delta);
    }
    sink_->OnDone(Result());
  }

  // Called once, when nothing else looks at the members any more.
  GenerateResult Result() {
    absl::MutexLock lock(&mutex_);
    if (is_cancelled_ && next_ < ends_.size()) {
      TruncateAnswer(answer_, next_ == 0 ? 0 : ends_[next_ - 1]);
      result_.status = MakeError(Reason::CANCELLED, "the generation was cancelled");
      result_.finish_reason.clear();
    }
    result_.usage.completion_tokens = EstimateTokens(answer_.text);
    result_.citations = std::move(answer_.citations);
    return std::move(result_);
  }

  Timer& timer_;
  const absl::Duration interval_;
  ExtractiveAnswer answer_;
  const std::vector<size_t> ends_;  // of the deltas in the text
  const absl::Time started_;
  const std::shared_ptr<GenerateSink> sink_;
  GenerateResult result_;

  absl::Mutex mutex_;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  Timer::Handle pending_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

models::ModelInfo ExtractiveModel::info() const {
  models::ModelInfo info;
  info.id = "extractive";
  info.provider = "embedded";
  info.description =
      "Quotes the sentences of your documents that answer the question. Needs no network.";
  info.ignored_parameters = {"messages (all but the last user message)",
                             "temperature",
                             "top_p",
                             "seed",
                             "stop",
                             "top_logprobs",
                             "extra"};
  info.is_general = false;
  return info;
}

std::shared_ptr<models::Generation> ExtractiveModel::Generate(const GenerateRequest& request,
                                                              std::shared_ptr<GenerateSink> sink) {
  GenerateResult result;
  result.finish_reason = "stop";
  result.usage.prompt_tokens = PromptTokens(request);
  ExtractiveAnswer answer;
  if (HasContext(request)) {
    answer = ComposeAnswer(retriever_, LastUserText(request.messages), *request.grounding);
  }
  if (answer.text.empty()) {
    result.outcome = Outcome::kNoContext;
    answer.text = models::kNoContextAnswer;
  }
  if (request.max_tokens.has_value() && EstimateTokens(answer.text) > *request.max_tokens) {
    TruncateAnswer(answer, BytesWithin(answer.text, *request.max_tokens));
    result.finish_reason = "length";
  }
  const bool is_paced = request.stream && options_.words_per_second > 0;
  const absl::Duration interval =
      is_paced ? absl::Seconds(1 / options_.words_per_second) : absl::ZeroDuration();
  auto delivery = std::make_shared<Delivery>(timer_, interval, std::move(answer), std::move(result),
                                             request.stream, std::move(sink));
  delivery->Start();
  return delivery;
}

}  // namespace aibackend::chat
