#include "server/rpc/request_detail.h"

#include "nlohmann/json.hpp"

namespace aibackend::rpc {
namespace {

using Json = nlohmann::json;

const Json& Member(const Json& json, const char* name) {
  static const Json none;
  const auto found = json.find(name);
  return found == json.end() ? none : *found;
}

bool IsStep(const Json& step) {
  return step.is_array() && step.size() == 3 && step[0].is_string() && step[1].is_number() &&
         step[2].is_string();
}

}  // namespace

std::string DetailOf(const chat::TurnResult& result) {
  Json detail = Json::object();
  for (const chat::Step& step : result.timeline) {
    detail["timeline"].push_back({step.name, absl::ToDoubleMilliseconds(step.at), step.note});
  }
  for (const std::string& passage : result.passages) detail["passages"].push_back(passage);
  if (result.confidence > 0) detail["confidence"] = result.confidence;
  return detail.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void FillDetail(const std::string& detail, v1::RequestView* out) {
  const Json json = Json::parse(detail, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  for (const Json& step : Member(json, "timeline")) {
    if (!IsStep(step)) continue;
    v1::RequestView::Step* to = out->add_timeline();
    to->set_name(step[0].get<std::string>());
    to->set_at_ms(step[1].get<double>());
    to->set_note(step[2].get<std::string>());
  }
  for (const Json& passage : Member(json, "passages")) {
    if (passage.is_string()) out->add_passages(passage.get<std::string>());
  }
  const Json& confidence = Member(json, "confidence");
  if (confidence.is_number()) out->set_confidence(confidence.get<double>());
}

}  // namespace aibackend::rpc
