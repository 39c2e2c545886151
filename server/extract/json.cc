#include "nlohmann/json.hpp"

#include <simdjson.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/extract/cpu_budget.h"
#include "server/extract/document_list.h"
#include "server/extract/records.h"

namespace aibackend::extract {
namespace {

using simdjson::SUCCESS;
using Array = simdjson::dom::array;
using Element = simdjson::dom::element;
using Object = simdjson::dom::object;

// Text nests no deeper; what walks a value recurses as often.
constexpr size_t kDepthMax = 128;

bool HasText(const Element& element) {
  Object object;
  Element text;
  return element.get(object) == SUCCESS && object[ToStd(kTextField)].get(text) == SUCCESS;
}

// A string's own text; a number's digits, where an id is one.
bool ReadString(const Element& element, bool may_be_number, std::string& to) {
  std::string_view text;
  if (element.get(text) == SUCCESS) {
    to = std::string(text);
    return true;
  }
  if (!may_be_number || !(element.is_int64() || element.is_uint64())) return element.is_null();
  to = simdjson::minify(element);
  return true;
}

// `"name":value`, after a comma where it isn't the first.
void AppendMember(std::string_view name, const Element& value, std::string& members) {
  absl::StrAppend(&members, members.empty() ? "" : ",", nlohmann::json(name).dump(), ":",
                  std::string(simdjson::minify(value)));
}

absl::Status ReadField(std::string_view name, const Element& value, const std::string& where,
                       ExtractedDocument& document, std::string& members) {
  const absl::string_view key = ToAbsl(name);
  bool is_right = true;
  if (key == kTextField) {
    is_right = ReadString(value, false, document.text);
  } else if (key == kIdField) {
    is_right = ReadString(value, true, document.id);
  } else if (key == kTitleField) {
    is_right = ReadString(value, false, document.title);
  } else if (key == kSourceField) {
    is_right = ReadString(value, false, document.source);
  } else if (Object metadata; key == kMetadataField && value.get(metadata) == SUCCESS) {
    for (const auto [member, member_value] : metadata) AppendMember(member, member_value, members);
  } else {
    AppendMember(name, value, members);
  }
  if (is_right) return absl::OkStatus();
  return Damaged(absl::StrCat(where, ": ", key, " must be a string"));
}

absl::Status AddRecord(const Element& record, const std::string& where, DocumentList& documents) {
  if (!HasText(record)) return Damaged(absl::StrCat(where, ": there is no text"));
  ExtractedDocument document;
  std::string members;
  for (const auto [name, value] : Object(record)) {
    AIB_RETURN_IF_ERROR(ReadField(name, value, where, document, members));
  }
  if (absl::StripAsciiWhitespace(document.text).empty()) {
    return Damaged(absl::StrCat(where, ": the text is empty"));
  }
  if (!members.empty()) document.metadata = absl::StrCat("{", members, "}");
  return documents.Add(std::move(document));
}

// Any value as lines "path: value".
class Lines {
 public:
  explicit Lines(size_t bytes_max) : bytes_max_(bytes_max) {}

  // False when it becomes too much. Recurses at most kDepthMax deep.
  bool Add(const Element& element) {  // NOLINT(misc-no-recursion)
    const bool is_root = path_.empty();
    if (Array array; element.get(array) == SUCCESS) {
      size_t i = 0;
      for (const Element& item : array) {
        if (!AddAt(absl::StrCat("[", i++, "]"), item)) return false;
        if (is_root) EndParagraph();
      }
      return true;
    }
    if (Object object; element.get(object) == SUCCESS) {
      for (const auto [key, value] : object) {
        if (!AddAt(absl::StrCat(is_root ? "" : ".", ToAbsl(key)), value)) return false;
      }
      return true;
    }
    return AddValue(element);
  }

  // A blank line before what comes next.
  void EndParagraph() {
    if (!text_.empty()) is_at_paragraph_ = true;
  }

  std::string Take() { return std::move(text_); }

 private:
  // One path that grows and shrinks: a long key with many values must not be copied for each.
  bool AddAt(const std::string& step, const Element& element) {  // NOLINT(misc-no-recursion)
    const size_t before = path_.size();
    path_.append(step);
    const bool fits = Add(element);
    path_.resize(before);
    return fits;
  }

  bool AddValue(const Element& element) {
    std::string_view string;
    std::string number;
    if (element.is_null()) return true;
    if (element.get(string) != SUCCESS) {
      number = simdjson::minify(element);
      string = number;
    }
    if (string.empty()) return true;
    absl::StrAppend(&text_, is_at_paragraph_ ? "\n" : "", path_, path_.empty() ? "" : ": ",
                    ToAbsl(string), "\n");
    is_at_paragraph_ = false;
    return text_.size() <= bytes_max_;
  }

  const size_t bytes_max_;
  std::string path_;
  std::string text_;
  bool is_at_paragraph_ = false;
};

absl::StatusOr<Documents> OneOf(Lines lines, const ExtractLimits& limits) {
  DocumentList documents(limits);
  ExtractedDocument document;
  document.text = lines.Take();
  AIB_RETURN_IF_ERROR(documents.Add(std::move(document)));
  return documents.Take();
}

// Fails with FIELD_INVALID; `where` begins its message.
absl::Status Parse(simdjson::dom::parser& parser, absl::string_view json, absl::string_view where,
                   Element& element) {
  const auto error = parser.parse(json.data(), json.size()).get(element);
  if (error == SUCCESS) return absl::OkStatus();
  if (error == simdjson::DEPTH_ERROR) {
    return Damaged(absl::StrCat(where, " nests deeper than ", kDepthMax, " levels"));
  }
  return Damaged(absl::StrCat(where, " is not well-formed JSON"));
}

absl::Status Prepare(simdjson::dom::parser& parser, size_t bytes) {
  if (parser.allocate(std::max(bytes, simdjson::dom::MINIMAL_DOCUMENT_CAPACITY), kDepthMax) ==
      SUCCESS) {
    return absl::OkStatus();
  }
  return TooLarge("reading the JSON takes too much memory");
}

// The array of records that a file is, or holds as its "documents".
bool RecordsOf(const Element& root, Array& records) {
  Object object;
  if (root.get(object) == SUCCESS && object["documents"].get(records) != SUCCESS) return false;
  if (root.get(object) != SUCCESS && root.get(records) != SUCCESS) return false;
  return records.begin() != records.end() && HasText(*records.begin());
}

}  // namespace

absl::StatusOr<Documents> ExtractJson(absl::string_view json, const ExtractLimits& limits) {
  simdjson::dom::parser parser;
  AIB_RETURN_IF_ERROR(Prepare(parser, json.size()));
  Element root;
  AIB_RETURN_IF_ERROR(Parse(parser, json, "the file", root));
  DocumentList documents(limits);
  if (HasText(root)) {
    AIB_RETURN_IF_ERROR(AddRecord(root, "the record", documents));
    return documents.Take();
  }
  if (Array records; RecordsOf(root, records)) {
    size_t number = 0;
    for (const Element& record : records) {
      AIB_RETURN_IF_ERROR(AddRecord(record, absl::StrCat("record ", ++number), documents));
    }
    return documents.Take();
  }
  Lines lines(limits.text_bytes_max);
  if (!lines.Add(root)) return TooLarge("the JSON holds too much text");
  return OneOf(std::move(lines), limits);
}

absl::StatusOr<Documents> ExtractJsonl(absl::string_view jsonl, const ExtractLimits& limits) {
  const CpuBudget cpu(limits.cpu_max);
  simdjson::dom::parser parser;
  DocumentList documents(limits);
  Lines lines(limits.text_bytes_max);
  bool is_first = true;
  bool has_records = false;
  size_t number = 0;
  while (!jsonl.empty()) {
    const size_t end = std::min(jsonl.find('\n'), jsonl.size());
    const absl::string_view line = absl::StripAsciiWhitespace(jsonl.substr(0, end));
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    const std::string where = absl::StrCat("line ", ++number);
    if (line.empty()) continue;
    if (cpu.IsSpent()) return TooLarge("reading the JSON takes too long");
    if (parser.capacity() < line.size() || is_first) {
      AIB_RETURN_IF_ERROR(Prepare(parser, 2 * line.size()));
    }
    Element value;
    AIB_RETURN_IF_ERROR(Parse(parser, line, where, value));
    if (std::exchange(is_first, false)) has_records = HasText(value);
    if (has_records) {
      AIB_RETURN_IF_ERROR(AddRecord(value, where, documents));
    } else if (!lines.Add(value)) {
      return TooLarge("the JSON holds too much text");
    }
    lines.EndParagraph();
  }
  if (has_records) return documents.Take();
  return OneOf(std::move(lines), limits);
}

}  // namespace aibackend::extract
