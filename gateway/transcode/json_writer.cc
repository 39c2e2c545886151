#include "gateway/transcode/json_writer.h"

#include <simdjson.h>

#include "google/protobuf/util/json_util.h"

namespace aibackend::gateway {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void AppendEscaped(unsigned char c, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

// The bytes of the UTF-8 character at the start of `text`; 0 where there is none.
size_t CharacterBytes(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t bytes = lead < 0x80   ? 1
                       : lead < 0xC2 ? 0
                       : lead < 0xE0 ? 2
                       : lead < 0xF0 ? 3
                       : lead < 0xF5 ? 4
                                     : 0;
  return bytes <= text.size() && simdjson::validate_utf8(text.data(), bytes) ? bytes : 0;
}

std::string Repaired(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const absl::string_view piece = bytes ? text.substr(0, bytes) : kReplacement;
    out.append(piece.data(), piece.size());
    text.remove_prefix(bytes ? bytes : 1);
  }
  return out;
}

}  // namespace

void AppendJsonString(absl::string_view text, std::string& out) {
  std::string repaired;
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    repaired = Repaired(text);
    text = repaired;
  }
  out += '"';
  size_t clean = 0;  // start of the run that needs no escape
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text.data() + clean, i - clean);
    AppendEscaped(c, out);
    clean = i + 1;
  }
  out.append(text.data() + clean, text.size() - clean);
  out += '"';
}

std::optional<std::string> MessageToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok())
    return std::nullopt;
  return json;
}

}  // namespace aibackend::gateway
