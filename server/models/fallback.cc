#include "server/models/fallback.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/types/optional.h"
#include "server/models/attempts.h"

namespace aibackend::models {
namespace {

bool IsPlain(const ChatMessage& message) {
  return message.tool_calls.empty() && message.role != Role::kTool &&
         absl::c_all_of(message.parts, [](const ContentPart& part) {
           return part.kind == ContentPart::Kind::kText;
         });
}

bool CanTake(const ModelInfo& model, const GenerateRequest& request) {
  if (model.is_general) return true;
  const bool has_format =
      request.response_format && request.response_format->type != ResponseFormat::Type::kText;
  return request.grounding.has_value() && request.tools.empty() && !has_format &&
         absl::c_all_of(request.messages, IsPlain);
}

}  // namespace

class Fallback::Policy final : public AttemptPolicy {
 public:
  explicit Policy(const std::vector<LanguageModel*>& models) : models_(models) {}

  Attempt First() override {
    Attempt attempt;
    attempt.model = models_.front();
    attempt.model_id = attempt.model->info().id;
    return attempt;
  }

  absl::optional<Attempt> Next(const GenerateRequest& request, GenerateResult& failed) override {
    const bool ends = !AnotherMayServe(failed.status);
    if (!first_) first_ = failed;
    while (!ends && ++current_ < models_.size()) {
      const ModelInfo info = models_[current_]->info();
      if (CanTake(info, request)) return AttemptOf(*models_[current_], info, request);
    }
    failed = *std::move(first_);
    return absl::nullopt;
  }

 private:
  static Attempt AttemptOf(LanguageModel& model, const ModelInfo& info,
                           const GenerateRequest& request) {
    auto own = std::make_shared<GenerateRequest>(request);
    own->model = info.id;
    if (own->temperature.value_or(0) > info.temperature_max) {
      own->temperature = info.temperature_max;
    }
    Attempt attempt;
    attempt.model = &model;
    attempt.model_id = info.id;
    attempt.request = std::move(own);
    return attempt;
  }

  const std::vector<LanguageModel*>& models_;
  size_t current_ = 0;
  absl::optional<GenerateResult> first_;
};

Fallback::Fallback(std::vector<LanguageModel*> models, Timer& timer)
    : models_(std::move(models)), timer_(timer) {}

ModelInfo Fallback::info() const {
  ModelInfo info = models_.front()->info();
  for (const LanguageModel* model : models_) {
    const ModelInfo own = model->info();
    if (model != models_.front()) info.fallbacks.push_back(own.id);
    const int context = own.context_tokens;
    if (context > 0 && (info.context_tokens == 0 || context < info.context_tokens)) {
      info.context_tokens = context;
    }
  }
  return info;
}

std::shared_ptr<Generation> Fallback::Generate(const GenerateRequest& request,
                                               std::shared_ptr<GenerateSink> sink) {
  return StartAttempts(request, std::move(sink), std::make_unique<Policy>(models_), timer_);
}

}  // namespace aibackend::models
