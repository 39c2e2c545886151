#include "gateway/transcode/json_fault.h"

#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/transcode/json_reader.h"

namespace aibackend::gateway {
namespace {

// Follows a document to its first fault: a syntax error, or a number that no field could hold.
class FaultFinder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  enum class Fault { kNone, kSyntax, kNumber, kDepth };

  Fault fault() const { return fault_; }
  size_t position() const { return position_; }

  std::string Path() const {
    std::string path;
    for (const Level& level : levels_) {
      if (level.is_array) {
        absl::StrAppend(&path, "[", level.index, "]");
      } else {
        absl::StrAppend(&path, path.empty() ? "" : ".", level.key);
      }
    }
    return path;
  }

  bool null() override { return Value(); }
  bool boolean(bool) override { return Value(); }
  bool number_integer(number_integer_t) override { return Value(); }
  bool number_unsigned(number_unsigned_t) override { return Value(); }
  bool number_float(number_float_t, const string_t& text) override {
    Value();
    // An integer that comes as a float is one beyond 64 bits.
    if (text.find_first_of(".eE") != std::string::npos) return true;
    fault_ = Fault::kNumber;
    return false;
  }
  bool string(string_t&) override { return Value(); }
  bool binary(binary_t&) override { return Value(); }
  bool start_object(size_t) override { return Open(false); }
  bool key(string_t& key) override {
    levels_.back().key = key;
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(true); }
  bool end_array() override { return Close(); }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    constexpr int kNumberOverflow = 406;  // nlohmann's id of "number overflow parsing"
    if (e.id == kNumberOverflow) Value();
    fault_ = e.id == kNumberOverflow ? Fault::kNumber : Fault::kSyntax;
    position_ = position;
    return false;
  }

 private:
  struct Level {
    bool is_array = false;
    int index = -1;
    std::string key;
  };

  bool Value() {
    if (!levels_.empty() && levels_.back().is_array) ++levels_.back().index;
    return true;
  }
  bool Open(bool is_array) {
    Value();
    levels_.push_back({is_array});
    if (levels_.size() <= kJsonDepthMax) return true;
    fault_ = Fault::kDepth;
    return false;
  }
  bool Close() {
    levels_.pop_back();
    return true;
  }

  Fault fault_ = Fault::kNone;
  size_t position_ = 0;  // of the byte after the fault
  std::vector<Level> levels_;
};

std::string LineAndColumn(absl::string_view json, size_t position) {
  const size_t end = std::min(position > 0 ? position - 1 : 0, json.size());
  const absl::string_view before = json.substr(0, end);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = newline == absl::string_view::npos ? end + 1 : end - newline;
  return absl::StrCat("line ", line, ", column ", column);
}

}  // namespace

ApiError ExplainJsonFault(absl::string_view json) {
  if (!simdjson::validate_utf8(json.data(), json.size()))
    return MakeApiError(Reason::INVALID_UTF8, "the body is not valid UTF-8");

  if (absl::StripAsciiWhitespace(json).empty())
    return MakeApiError(Reason::MALFORMED_JSON, "the body is empty: it must be a JSON object");

  FaultFinder finder;
  nlohmann::json::sax_parse(json.begin(), json.end(), &finder);
  switch (finder.fault()) {
    case FaultFinder::Fault::kSyntax:
      return MakeApiError(Reason::MALFORMED_JSON,
                          finder.position() > json.size()
                              ? std::string("the body is not valid JSON: it ends too early")
                              : absl::StrCat("the body is not valid JSON: an error at ",
                                             LineAndColumn(json, finder.position())));
    case FaultFinder::Fault::kNumber:
      return MakeApiError(Reason::FIELD_OUT_OF_RANGE, "a number that is too large", finder.Path());
    case FaultFinder::Fault::kDepth:
      return MakeApiError(Reason::MALFORMED_JSON,
                          absl::StrCat("more than ", kJsonDepthMax, " levels of nesting"));
    case FaultFinder::Fault::kNone:
      break;
  }
  return MakeApiError(Reason::MALFORMED_JSON, "the body is not valid JSON");
}

}  // namespace aibackend::gateway
