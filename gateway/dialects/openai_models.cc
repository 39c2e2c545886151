#include "gateway/dialects/openai_models.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "aibackend/v1/models.pb.h"
#include "gateway/dialects/openai_errors.h"
#include "gateway/dialects/openai_json.h"
#include "gateway/dialects/retrieval_choice.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::DynamicCastToGenerated;
using google::protobuf::Message;

// `name` is the model's id or one of its aliases. When a model was made isn't known.
std::string EntryJson(const std::string& name, const v1::Model& model) {
  std::vector<std::string> aliases;
  for (const std::string& alias : model.aliases()) aliases.push_back(Quoted(alias));
  ObjectWriter entry;
  entry.String("id", name).String("object", "model").Number("created", 0);
  entry.String("owned_by", model.provider()).String("type", "model").String("display_name", name);
  entry.String("created_at", "1970-01-01T00:00:00Z").String("kind", model.kind());
  return entry.Raw("aliases", ListText(aliases)).Text();
}

HttpAnswer JsonAnswer(std::string body) {
  return {200, {{"Content-Type", "application/json"}}, std::move(body)};
}

std::vector<std::string> NamesOf(const v1::Model& model) {
  std::vector<std::string> names = {model.id()};
  names.insert(names.end(), model.aliases().begin(), model.aliases().end());
  return names;
}

class ModelFormat : public UnaryFormat {
 public:
  HttpAnswer Error(const ApiError& error, const std::string& /*request_id*/) final {
    return OpenAiError(error, SameParam);
  }
};

class ModelList final : public ModelFormat {
 public:
  std::optional<HttpAnswer> Answer(const Message& message) override {
    const auto* response = DynamicCastToGenerated<v1::ListModelsResponse>(&message);
    if (response == nullptr) return std::nullopt;
    std::vector<std::string> names;
    std::vector<std::string> entries;
    std::vector<std::string> models;
    for (const v1::Model& model : response->models()) {
      auto contract = MessageToJson(model);
      if (!contract) return std::nullopt;
      models.push_back(*std::move(contract));
      for (std::string& name : NamesOf(model)) {
        entries.push_back(EntryJson(name, model));
        names.push_back(std::move(name));
      }
    }
    ObjectWriter body;
    body.String("object", "list").Raw("data", ListText(entries)).Raw("has_more", "false");
    body.Raw("first_id", names.empty() ? "null" : Quoted(names.front()));
    body.Raw("last_id", names.empty() ? "null" : Quoted(names.back()));
    return JsonAnswer(body.Raw("models", ListText(models)).Text());
  }
};

class ModelEntry final : public ModelFormat {
 public:
  explicit ModelEntry(std::string id) : id_(std::move(id)) {}

  std::optional<HttpAnswer> Answer(const Message& message) override {
    const auto* response = DynamicCastToGenerated<v1::ListModelsResponse>(&message);
    if (response == nullptr) return std::nullopt;
    std::vector<std::string> known;
    for (const v1::Model& model : response->models()) {
      for (std::string& name : NamesOf(model)) {
        const bool is_grounded =
            model.kind() != "embedding" && absl::StrCat(kModelPrefix, name) == id_;
        if (name == id_ || is_grounded) return JsonAnswer(EntryJson(id_, model));
        known.push_back(std::move(name));
      }
    }
    return OpenAiError(MakeApiError(Reason::MODEL_NOT_FOUND,
                                    absl::StrCat("no model is named '", id_,
                                                 "'; known: ", absl::StrJoin(known, ", ")),
                                    "model"),
                       SameParam);
  }

 private:
  const std::string id_;
};

}  // namespace

std::unique_ptr<UnaryFormat> MakeModelList() {
  return std::make_unique<ModelList>();
}

std::unique_ptr<UnaryFormat> MakeModelEntry(std::string id) {
  return std::make_unique<ModelEntry>(std::move(id));
}

}  // namespace aibackend::gateway
