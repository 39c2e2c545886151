#include "server/models/json_text.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace aibackend::models {
namespace {

bool IsPlain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
}

// The text of a string in its quotes, with escapes.
std::string Unquoted(absl::string_view quoted) {
  const absl::string_view inside = quoted.substr(1, quoted.size() - 2);
  if (inside.find('\\') == absl::string_view::npos) return std::string(inside);
  const auto text = nlohmann::json::parse(quoted.begin(), quoted.end(), nullptr, false);
  return text.is_string() ? text.get<std::string>() : std::string(inside);
}

// Walks over JSON by its grammar (RFC 8259). Its methods return false where the text isn't what
// they are for.
class Scanner {
 public:
  explicit Scanner(absl::string_view text) : text_(text) {}

  bool AtEnd() const { return at_ == text_.size(); }
  bool Value(int depth);
  bool Object(int depth, std::vector<JsonMember>* members);
  bool Array(int depth, std::vector<absl::string_view>* elements);
  void Space() {
    while (!AtEnd() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }

 private:
  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Word(absl::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool Digits() {
    const size_t from = at_;
    while (!AtEnd() && absl::ascii_isdigit(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ > from;
  }
  bool String();
  bool Escape();
  bool Number();
  bool Member(int depth, std::vector<JsonMember>* members);

  const absl::string_view text_;
  size_t at_ = 0;
};

bool Scanner::Escape() {
  if (AtEnd()) return false;
  const char c = text_[at_++];
  if (c != 'u') return absl::string_view("\"\\/bfnrt").find(c) != absl::string_view::npos;
  for (int i = 0; i < 4; ++i, ++at_) {
    if (AtEnd() || !absl::ascii_isxdigit(static_cast<unsigned char>(text_[at_]))) return false;
  }
  return true;
}

bool Scanner::String() {
  if (!Take('"')) return false;
  while (!AtEnd()) {
    const char c = text_[at_++];
    if (c == '"') return true;
    if (c == '\\' ? !Escape() : !IsPlain(c)) return false;
  }
  return false;
}

bool Scanner::Number() {
  Take('-');
  if (!Take('0') && !Digits()) return false;
  if (Take('.') && !Digits()) return false;
  if (!Take('e') && !Take('E')) return true;
  if (!Take('+')) Take('-');
  return Digits();
}

bool Scanner::Value(int depth) {
  if (AtEnd() || depth > kJsonDepthMax) return false;
  switch (text_[at_]) {
    case '{':
      return Object(depth, nullptr);
    case '[':
      return Array(depth, nullptr);
    case '"':
      return String();
    case 't':
      return Word("true");
    case 'f':
      return Word("false");
    case 'n':
      return Word("null");
    default:
      return Number();
  }
}

bool Scanner::Member(int depth, std::vector<JsonMember>* members) {
  Space();
  const size_t name_at = at_;
  if (!String()) return false;
  const absl::string_view name = text_.substr(name_at, at_ - name_at);
  Space();
  if (!Take(':')) return false;
  Space();
  const size_t value_at = at_;
  if (!Value(depth + 1)) return false;
  if (members != nullptr) {
    members->push_back({Unquoted(name), text_.substr(value_at, at_ - value_at)});
  }
  Space();
  return true;
}

bool Scanner::Object(int depth, std::vector<JsonMember>* members) {
  if (!Take('{')) return false;
  Space();
  if (Take('}')) return true;
  do {
    if (!Member(depth, members)) return false;
  } while (Take(','));
  return Take('}');
}

bool Scanner::Array(int depth, std::vector<absl::string_view>* elements) {
  if (!Take('[')) return false;
  Space();
  if (Take(']')) return true;
  do {
    Space();
    const size_t from = at_;
    if (!Value(depth + 1)) return false;
    if (elements != nullptr) elements->push_back(text_.substr(from, at_ - from));
    Space();
  } while (Take(','));
  return Take(']');
}

}  // namespace

void JsonWriter::Comma() {
  if (out_.empty()) return;
  const char last = out_.back();
  if (last != '{' && last != '[' && last != ':') out_.push_back(',');
}

JsonWriter& JsonWriter::Open(char bracket) {
  Comma();
  out_.push_back(bracket);
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  out_.push_back(bracket);
  return *this;
}

JsonWriter& JsonWriter::Name(absl::string_view name) {
  String(name);
  out_.push_back(':');
  return *this;
}

JsonWriter& JsonWriter::String(absl::string_view text) {
  Comma();
  if (IsValidUtf8(text)) {
    Quote(text);
  } else {
    const nlohmann::json value(std::string{text});
    out_ += value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return *this;
}

void JsonWriter::Quote(absl::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out_.push_back('"');
  size_t from = 0;  // of the plain characters that aren't written yet
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (IsPlain(c)) continue;
    out_.append(text.data() + from, i - from);
    from = i + 1;
    if (c == '"' || c == '\\') {
      out_ += {'\\', c};
    } else if (c == '\n') {
      out_ += "\\n";
    } else {
      out_ += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
    }
  }
  out_.append(text.data() + from, text.size() - from);
  out_.push_back('"');
}

JsonWriter& JsonWriter::Integer(int64_t number) {
  Comma();
  absl::StrAppend(&out_, number);
  return *this;
}

JsonWriter& JsonWriter::Double(double number) {
  Comma();
  out_ += nlohmann::json(number).dump();
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) {
  Comma();
  out_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::Raw(absl::string_view json) {
  Comma();
  out_.append(json.data(), json.size());
  return *this;
}

absl::optional<std::vector<JsonMember>> JsonMembers(absl::string_view json) {
  std::vector<JsonMember> members;
  Scanner scanner(json);
  scanner.Space();
  if (!IsValidUtf8(json) || !scanner.Object(1, &members)) return absl::nullopt;
  scanner.Space();
  if (!scanner.AtEnd()) return absl::nullopt;
  return members;
}

absl::optional<std::vector<absl::string_view>> JsonElements(absl::string_view json) {
  std::vector<absl::string_view> elements;
  Scanner scanner(json);
  scanner.Space();
  if (!IsValidUtf8(json) || !scanner.Array(1, &elements)) return absl::nullopt;
  scanner.Space();
  if (!scanner.AtEnd()) return absl::nullopt;
  return elements;
}

bool IsJsonObject(absl::string_view json) {
  Scanner scanner(json);
  scanner.Space();
  if (!IsValidUtf8(json) || !scanner.Object(1, nullptr)) return false;
  scanner.Space();
  return scanner.AtEnd();
}

}  // namespace aibackend::models
