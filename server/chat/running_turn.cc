#include "server/chat/running_turn.h"

#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "server/base/status.h"
#include "server/chat/citation_check.h"
#include "server/chat/context_packing.h"
#include "server/chat/guarded_question.h"
#include "server/chat/turn_rules.h"
#include "server/models/grounding_prompt.h"
#include "server/telemetry/log.h"

namespace aibackend::chat {
namespace {

const char* NameOf(retrieval::Mode mode) {
  switch (mode) {
    case retrieval::Mode::kHybrid:
      return "hybrid";
    case retrieval::Mode::kDense:
      return "dense";
    case retrieval::Mode::kLexical:
      return "lexical";
  }
  return "";
}

struct Found {
  models::Grounding grounding;
  bool is_degraded = false;
};

absl::StatusOr<Found> Search(const retrieval::Retriever& retriever, const TurnRequest& request,
                             bool strict) {
  retrieval::RetrieveQuery query;
  query.text = LastUserText(request.generate.messages);
  query.top_k = request.retrieval.top_k;
  query.collection = request.retrieval.collection;
  query.mode = request.retrieval.mode;
  query.filter = request.retrieval.filter;
  query.min_score = request.retrieval.min_score;
  query.trace = request.generate.trace;
  AIB_ASSIGN_OR_RETURN(retrieval::RetrieveResult found, retriever.Retrieve(query));

  Found result;
  result.is_degraded = found.is_degraded;
  models::Grounding& grounding = result.grounding;
  grounding.confidence = found.confidence;
  grounding.strict = strict;
  grounding.collection = query.collection.name;
  grounding.tenant = query.collection.tenant;
  for (auto& match : found.matches) {
    grounding.passages.push_back({std::move(match.document_id), std::move(match.chunk_id),
                                  std::move(match.title), std::move(match.source),
                                  std::move(match.text), match.start, match.score});
  }
  return result;
}

bool IsWithoutEvidence(const models::Grounding& grounding) {
  return grounding.strict &&
         (grounding.passages.empty() || grounding.confidence < models::kConfidenceMin);
}

bool IsEmpty(const models::Delta& delta) {
  return delta.text.empty() && delta.reasoning.empty() && delta.tool_calls.empty() &&
         delta.logprobs.empty();
}

// Each once, in order.
std::vector<std::string> Joined(std::vector<std::string> first,
                                const std::vector<std::string>& second) {
  for (const std::string& outcome : second) {
    if (!absl::c_linear_search(first, outcome)) first.push_back(outcome);
  }
  return first;
}

// A delta of an answer that is there as a whole.
void GiveWhole(const Answer& answer, absl::FunctionRef<void(const models::Delta&)> give) {
  std::vector<models::ToolCallDelta> calls;
  for (const models::ToolCall& call : answer.tool_calls) {
    calls.push_back({static_cast<int>(calls.size()), call.id, call.name, call.arguments});
  }
  models::Delta delta(answer.text);
  delta.reasoning = answer.reasoning;
  delta.tool_calls = calls;
  delta.logprobs = answer.logprobs;
  if (!IsEmpty(delta)) give(delta);
}

}  // namespace

RunningTurn::RunningTurn(const TurnWorld& world, models::LanguageModel& model, TurnRequest request,
                         std::shared_ptr<TurnSink> sink)
    : world_(world),
      model_(model),
      request_(std::move(request)),
      sink_(std::move(sink)),
      started_at_(world.clock.Now()),
      info_(model.info()) {
  result_.model = info_.id;
  request_.generate.model = info_.id;
  if (!info_.is_general) request_.retrieval.enabled = true;
  strict_ = request_.retrieval.strict.value_or(world.options.strict_default);
  const guard::Guardrails* rules = world.options.guardrails;
  if (rules != nullptr && !rules->output().empty()) guarded_.emplace(*rules);
}

// --- Until the model is asked

void RunningTurn::Run() {
  if (IsCancelled()) return FinishCancelled();
  if (!GuardInput()) return Finish();
  if (AnswerFromCache()) return;
  if (request_.retrieval.enabled && !IsCancelled() && !Ground()) return Finish();
  if (IsCancelled()) return FinishCancelled();
  const auto& grounding = request_.generate.grounding;
  if (grounding && IsWithoutEvidence(*grounding)) return FinishNoContext();
  AskModel();
}

// False: a rule blocks. What it did before the turn began is told, too.
bool RunningTurn::GuardInput() {
  result_.status = GuardTurn(world_.options, request_);
  result_.guardrails = std::move(request_.guardrails);
  return result_.status.ok();
}

bool RunningTurn::AnswerFromCache() {
  AnswerCache* cache = world_.options.cache;
  if (cache == nullptr) return false;
  const RetrievalChoice& retrieval = request_.retrieval;
  slot_ = cache->SlotOf(
      request_, info_, strict_,
      retrieval.enabled ? world_.retriever.Revision(retrieval.collection) : absl::nullopt);
  if (!slot_) return false;
  auto found = cache->Find(*slot_);
  Note("cache", found ? found->cache : "miss");
  result_.cache_missed = !found;
  sink_->OnCacheAsked(found.has_value());
  if (!found) return false;
  FinishFromCache(*std::move(found));
  return true;
}

// False: it failed.
bool RunningTurn::Ground() {
  auto found = Search(world_.retriever, request_, strict_);
  result_.status = found.status();
  if (!found.ok()) return false;
  if (found->is_degraded) slot_.reset();  // the embedder may be well again in a moment
  request_.generate.grounding = std::move(found->grounding);
  UseGrounding(*request_.generate.grounding);
  return true;
}

// The passages that the model gets, and what its marks may name.
void RunningTurn::UseGrounding(models::Grounding& grounding) {
  result_.confidence = grounding.confidence;
  if (info_.is_general) {  // else it quotes from any number of them
    grounding.passages =
        PackPassages(std::move(grounding.passages), PassageTokensWithin(info_, request_.generate));
    if (models::WantsMarks(request_.generate)) cited_.emplace(grounding.passages);
  }
  for (const models::Passage& passage : grounding.passages) {
    result_.passages.push_back(passage.chunk_id);
  }
  Note("retrieved",
       absl::StrFormat("%s, confidence %.2f, %d passages", NameOf(request_.retrieval.mode),
                       grounding.confidence, grounding.passages.size()));
}

void RunningTurn::AskModel() {
  models::GenerateRequest& generate = request_.generate;
  if (request_.before_model) {
    const absl::optional<int> max_tokens = generate.max_tokens;
    result_.status = request_.before_model(info_, generate);
    if (!result_.status.ok()) return Finish();
    is_shortened_ = generate.max_tokens != max_tokens;
  }
  if (IsCancelled()) return FinishCancelled();
  Note("asked", info_.id);
  result_.model_asked = true;
  Hold(model_.Generate(generate, shared_from_this()));
}

// It may have been asked to stop, or have ended, before it is here. Not under the mutex, for which
// Cancel would wait: a model may take its time.
void RunningTurn::Hold(std::shared_ptr<models::Generation> generation) {
  {
    absl::MutexLock lock(&mutex_);
    if (has_ended_) return;
    generation_ = generation;
    if (!model_cancelled_) return;
  }
  generation->Cancel();
}

// --- While it answers

void RunningTurn::OnDelta(const models::Delta& delta) {
  if (!std::exchange(any_delta_, true)) {
    result_.time_to_first_token = world_.clock.Now() - started_at_;
    Note("first_token");
  }
  cited_ ? CheckCitations(delta) : Guard(delta);
}

// Text waits where it may become a mark, but not while a tool is called.
void RunningTurn::CheckCitations(const models::Delta& delta) {
  std::string text;
  if (!delta.is_quoted) cited_->Take(delta.text, &text);
  if (delta.is_quoted || !delta.tool_calls.empty()) cited_->Flush(&text);
  if (delta.is_quoted) text.append(delta.text.data(), delta.text.size());
  models::Delta checked = delta;
  checked.text = text;
  if (!IsEmpty(checked)) Guard(checked);
}

// What comes after a match that blocks is paid for, but nobody hears it.
void RunningTurn::Guard(const models::Delta& delta) {
  if (!guarded_) return Pass(delta);
  if (guarded_->blocked_by() != nullptr) return;
  guarded_->Take(delta, [this](const models::Delta& left) { Pass(left); });
  if (guarded_->blocked_by() != nullptr) CancelModel();
}

void RunningTurn::Pass(const models::Delta& delta) {
  result_.answer.Append(delta);
  sink_->OnDelta(delta);
}

// --- At the end

void RunningTurn::OnDone(models::GenerateResult generated) {
  result_.status = std::move(generated.status);
  result_.finish_reason = std::move(generated.finish_reason);
  result_.stop_sequence = std::move(generated.stop_sequence);
  result_.upstream_calls = generated.upstream_calls;
  if (!generated.model.empty()) result_.model = std::move(generated.model);
  result_.outcome = generated.outcome;
  result_.usage = generated.usage;
  result_.citations = std::move(generated.citations);
  EndCitations();
  EndGuard();
  Note("answered", result_.finish_reason);
  if (result_.dropped_citations > 0) {
    telemetry::Log(telemetry::Event::kCitationDropped,
                   {{"request_id", request_.generate.request_id},
                    {"model", result_.model},
                    {"dropped", result_.dropped_citations}});
  }
  Finish();
}

void RunningTurn::EndCitations() {
  if (cited_) {
    std::string text;
    cited_->Flush(&text);
    if (!text.empty()) Guard(models::Delta(text));
    result_.dropped_citations = cited_->dropped();
    for (models::Citation& citation : cited_->Citations()) {
      result_.citations.push_back(std::move(citation));
    }
  }
  const models::Grounding none;
  const auto& grounding = request_.generate.grounding;
  result_.dropped_citations +=
      DropUnverifiedCitations(grounding ? *grounding : none, result_.citations);
}

// An answer that a rule has ended is no answer, however its generation ended.
void RunningTurn::EndGuard() {
  if (!guarded_) return;
  guarded_->End([this](const models::Delta& left) { Pass(left); });
  const guard::CompiledRule* rule = guarded_->blocked_by();
  if (rule == nullptr) return;
  result_.status = guard::Blocked(*rule);
  result_.finish_reason = "content_filter";
  result_.stop_sequence.clear();
  result_.citations.clear();
}

void RunningTurn::FinishFromCache(TurnResult found) {
  found.guardrails = Joined(std::move(result_.guardrails), found.guardrails);
  found.timeline = std::move(result_.timeline);
  result_ = std::move(found);
  slot_.reset();
  GiveWhole(result_.answer, [this](const models::Delta& delta) { sink_->OnDelta(delta); });
  result_.time_to_first_token = world_.clock.Now() - started_at_;
  Note("answered", result_.finish_reason);
  Finish();
}

void RunningTurn::FinishNoContext() {
  slot_.reset();  // no model was asked for it
  result_.outcome = models::Outcome::kNoContext;
  result_.finish_reason = "stop";
  result_.time_to_first_token = world_.clock.Now() - started_at_;
  Pass(models::Delta(models::kNoContextAnswer));
  Note("answered", "no context");
  Finish();
}

void RunningTurn::FinishCancelled() {
  result_.status = MakeError(Reason::CANCELLED, "the client left");
  Finish();
}

void RunningTurn::Price() {
  if (world_.options.prices == nullptr || !result_.cache.empty()) return;
  const models::TokenUsage& used = result_.usage;
  const usage::Priced priced = world_.options.prices->Cost(
      result_.model,
      {used.prompt_tokens, used.completion_tokens, used.cached_tokens, used.reasoning_tokens});
  result_.cost = priced.cost;
  // Nothing costs nothing, whatever the price.
  result_.price_unknown = priced.unknown && used.prompt_tokens + used.completion_tokens > 0;
  result_.price_version = priced.price_version;
}

void RunningTurn::Finish() {
  result_.elapsed = world_.clock.Now() - started_at_;
  {
    absl::MutexLock lock(&mutex_);
    has_ended_ = true;
    generation_ = nullptr;
  }
  std::vector<std::string> output_rules;
  if (guarded_) output_rules = guarded_->outcomes().list();
  if (world_.options.on_guarded && !output_rules.empty()) world_.options.on_guarded(output_rules);
  // Cut by what the caller had left, it is not the answer to the request.
  const bool is_cut_short = is_shortened_ && result_.finish_reason == "length";
  if (slot_ && result_.status.ok() && !is_cut_short) {
    TurnResult kept = result_;
    kept.guardrails = output_rules;
    world_.options.cache->Put(*slot_, info_.id, std::move(kept));
  }
  result_.guardrails = Joined(std::move(result_.guardrails), output_rules);
  Price();
  if (world_.options.on_end) world_.options.on_end(result_);
  world_.on_end();
  std::exchange(sink_, nullptr)->OnDone(std::move(result_));
}

// --- From any thread

void RunningTurn::Cancel() {
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  CancelModel();
}

void RunningTurn::CancelModel() {
  std::shared_ptr<models::Generation> generation;
  {
    absl::MutexLock lock(&mutex_);
    model_cancelled_ = true;
    generation = generation_;
  }
  if (generation) generation->Cancel();
}

bool RunningTurn::IsCancelled() {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

void RunningTurn::Note(const char* name, std::string note) {
  result_.timeline.push_back({name, world_.clock.Now() - started_at_, std::move(note)});
}

}  // namespace aibackend::chat
