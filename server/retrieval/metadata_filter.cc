#include "server/retrieval/metadata_filter.h"

#include <simdjson.h>

#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "server/base/status.h"
#include "server/base/text.h"

namespace aibackend::retrieval {
namespace {

using Condition = MetadataFilter::Condition;
using Operator = MetadataFilter::Operator;
using simdjson::dom::element;

constexpr size_t kFilterDepthMax = 8;  // a filter has three levels; a deeper one gets its place
constexpr size_t kNameInErrorBytesMax = 64;  // a client's own words are not given back at length

absl::Status Invalid(absl::string_view message, absl::string_view place) {
  return MakeError(Reason::FILTER_INVALID, message, place);
}

std::string PlaceOf(absl::string_view parent, std::string_view name) {
  return absl::StrCat(parent, ".", Utf8Prefix(ToAbsl(name), kNameInErrorBytesMax));
}

absl::optional<Operator> OperatorOf(std::string_view name) {
  if (name == "eq") return Operator::kEqual;
  if (name == "in") return Operator::kIn;
  if (name == "lt") return Operator::kLess;
  if (name == "lte") return Operator::kLessOrEqual;
  if (name == "gt") return Operator::kGreater;
  if (name == "gte") return Operator::kGreaterOrEqual;
  if (name == "exists") return Operator::kExists;
  return absl::nullopt;
}

absl::StatusOr<MetadataValue> ReadValue(const element& json, absl::string_view place) {
  bool truth = false;
  if (json.get(truth) == simdjson::SUCCESS) return truth;
  std::string_view text;
  if (json.get(text) == simdjson::SUCCESS) return std::string(text);
  double number = 0;
  if (json.get(number) == simdjson::SUCCESS && std::isfinite(number)) return number;
  if (json.is_null()) return Invalid(R"(is null; write {"exists": false})", place);
  return Invalid("must be a text, a number or a boolean", place);
}

class FilterReader {
 public:
  explicit FilterReader(absl::string_view field) { filter_.name = std::string(field); }

  absl::Status Read(const simdjson::dom::object& json) {
    absl::flat_hash_set<std::string_view> seen;
    for (const auto& member : json) {
      const std::string place = PlaceOf(filter_.name, member.key);
      if (!seen.insert(member.key).second) return Invalid("is given twice", place);
      AIB_RETURN_IF_ERROR(ReadField(std::string(member.key), member.value, place));
    }
    return absl::OkStatus();
  }

  MetadataFilter Take() && { return std::move(filter_); }

 private:
  // "en", or {"gte": 2020, "lt": 2024}.
  absl::Status ReadField(std::string name, const element& json, const std::string& place) {
    simdjson::dom::object operators;
    if (json.get(operators) != simdjson::SUCCESS) {
      if (json.is_array()) return Invalid(R"(is a list; write {"in": […]})", place);
      return AddCondition({std::move(name), Operator::kEqual, {}}, json, place);
    }
    if (operators.begin() == operators.end()) return Invalid("has no operator", place);
    absl::flat_hash_set<std::string_view> seen;
    for (const auto& member : operators) {
      const std::string here = PlaceOf(place, member.key);
      const auto op = OperatorOf(member.key);
      if (!op) {
        return Invalid(
            "is none of eq, in, gt, gte, lt, lte, exists; a nested field is written with dots",
            here);
      }
      if (!seen.insert(member.key).second) return Invalid("is given twice", here);
      AIB_RETURN_IF_ERROR(AddCondition({name, *op, {}}, member.value, here));
    }
    return absl::OkStatus();
  }

  absl::Status AddCondition(Condition condition, const element& json, const std::string& place) {
    if (filter_.conditions.size() == MetadataFilter::kConditionsMax) {
      return Invalid(absl::StrCat("more than ", MetadataFilter::kConditionsMax, " conditions"),
                     place);
    }
    if (condition.op == Operator::kIn) {
      AIB_RETURN_IF_ERROR(ReadList(json, place, condition));
    } else {
      AIB_RETURN_IF_ERROR(ReadOne(json, place, condition));
    }
    filter_.conditions.push_back(std::move(condition));
    return absl::OkStatus();
  }

  absl::Status ReadList(const element& json, const std::string& place, Condition& condition) {
    simdjson::dom::array list;
    if (json.get(list) != simdjson::SUCCESS) return Invalid("must be a list", place);
    if (list.begin() == list.end()) return Invalid("must hold at least one value", place);
    for (const element& item : list) {
      AIB_RETURN_IF_ERROR(
          ReadOne(item, absl::StrCat(place, "[", condition.values.size(), "]"), condition));
    }
    return absl::OkStatus();
  }

  absl::Status ReadOne(const element& json, const std::string& place, Condition& condition) {
    if (++values_ > MetadataFilter::kValuesMax) {
      return Invalid(absl::StrCat("more than ", MetadataFilter::kValuesMax, " values"), place);
    }
    AIB_ASSIGN_OR_RETURN(MetadataValue value, ReadValue(json, place));
    const bool is_bool = std::holds_alternative<bool>(value);
    if (condition.op == Operator::kExists && !is_bool) {
      return Invalid("must be true or false", place);
    }
    const bool is_range = condition.op != Operator::kExists && condition.op != Operator::kEqual &&
                          condition.op != Operator::kIn;
    if (is_range && is_bool) return Invalid("must be a number or a text", place);
    condition.values.push_back(std::move(value));
    return absl::OkStatus();
  }

  MetadataFilter filter_;
  size_t values_ = 0;
};

}  // namespace

absl::StatusOr<MetadataFilter> ParseFilter(absl::string_view json, absl::string_view field) {
  FilterReader reader(field);
  if (json.empty()) return std::move(reader).Take();
  if (json.size() > MetadataFilter::kBytesMax) {
    return Invalid(absl::StrCat("is longer than ", MetadataFilter::kBytesMax, " bytes"), field);
  }
  simdjson::dom::parser parser;
  simdjson::error_code error = parser.allocate(json.size(), kFilterDepthMax);
  element document;
  if (error == simdjson::SUCCESS) error = parser.parse(json.data(), json.size()).get(document);
  if (error != simdjson::SUCCESS) {
    return Invalid(absl::StrCat("is not JSON: ", simdjson::error_message(error)), field);
  }
  simdjson::dom::object object;
  if (document.get(object) != simdjson::SUCCESS) {
    return Invalid(R"(must be a JSON object such as {"lang": "en"})", field);
  }
  AIB_RETURN_IF_ERROR(reader.Read(object));
  return std::move(reader).Take();
}

}  // namespace aibackend::retrieval
