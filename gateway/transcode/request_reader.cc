#include "gateway/transcode/request_reader.h"

#include <simdjson.h>

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/transcode/json_reader.h"
#include "gateway/transcode/json_scalar.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Timestamp;
using Refused = std::optional<ApiError>;

bool IsUtf8(absl::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

std::string Printable(absl::string_view text) {
  constexpr size_t kNameBytesMax = 128;  // of a client's own words that an answer repeats
  return IsUtf8(text) && text.size() <= kNameBytesMax
             ? std::string(text)
             : absl::CHexEscape(text.substr(0, kNameBytesMax));
}

// The parts of the request that fill fields by name, with what their errors call them.
class FieldFiller {
 public:
  FieldFiller(const Route& route, Message& message) : route_(route), message_(message) {}

  // A path variable, first of all.
  Refused FillVariable(const FieldPath& path, const std::string& raw);
  // A query parameter or a part of a form. `unknown` is the reason where there is no such field.
  Refused Fill(const std::string& name, absl::string_view text, v1::Error::Reason unknown);

 private:
  Refused Store(const FieldPath& path, absl::string_view text, const std::string& name);

  const Route& route_;
  Message& message_;
  std::set<FieldPath> given_;
};

std::string Dotted(const FieldPath& path) {
  std::string name;
  for (const auto* field : path) absl::StrAppend(&name, name.empty() ? "" : ".", field->name());
  return name;
}

bool IsTextual(const FieldDescriptor& field) {
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
         field.message_type() == Timestamp::descriptor();
}

Refused FieldFiller::Store(const FieldPath& path, absl::string_view text, const std::string& name) {
  if (!IsUtf8(text)) return MakeApiError(Reason::INVALID_UTF8, "is not valid UTF-8", name);
  Message* level = &message_;
  for (size_t i = 0; i + 1 < path.size(); ++i)
    level = level->GetReflection()->MutableMessage(level, path[i]);
  const FieldDescriptor& field = *path.back();
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
    return SetScalarFromText(text, field, name, *level);
  auto* timestamp = field.is_repeated() ? level->GetReflection()->AddMessage(level, &field)
                                        : level->GetReflection()->MutableMessage(level, &field);
  if (google::protobuf::util::TimeUtil::FromString(std::string(text),
                                                   static_cast<Timestamp*>(timestamp)))
    return std::nullopt;
  return MakeApiError(Reason::WRONG_TYPE, "must be a time such as 2024-05-01T12:00:00Z", name);
}

Refused FieldFiller::FillVariable(const FieldPath& path, const std::string& raw) {
  const std::string name = Dotted(path);
  const auto text = PercentDecode(raw, /*plus_is_space=*/false);
  if (!text) return MakeApiError(Reason::MALFORMED_REQUEST, "a bad percent escape", name);
  given_.insert(path);
  return Store(path, *text, name);
}

Refused FieldFiller::Fill(const std::string& name, absl::string_view text,
                          v1::Error::Reason unknown) {
  const FieldPath path = ResolveFieldPath(*message_.GetDescriptor(), name);
  if (path.empty() || !IsTextual(*path.back()))
    return MakeApiError(unknown, absl::StrCat("unknown: ", Printable(name)), Printable(name));
  const bool is_new = given_.insert(path).second;
  if (!is_new && !path.back()->is_repeated())
    return MakeApiError(Reason::MALFORMED_REQUEST, "is given twice", name);
  return Store(path, text, name);
}

Refused ReadQuery(absl::string_view query, FieldFiller& filler) {
  size_t count = 0;
  for (absl::string_view pair : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    if (++count > kQueryParametersMax)
      return MakeApiError(Reason::MALFORMED_REQUEST,
                          absl::StrCat("more than ", kQueryParametersMax, " query parameters"));
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    const auto name = PercentDecode(parts.first, true);
    const auto value = PercentDecode(parts.second, true);
    if (!name || !value)
      return MakeApiError(Reason::MALFORMED_REQUEST, "a bad percent escape in the query",
                          Printable(parts.first));
    if (auto refused = filler.Fill(*name, *value, Reason::UNKNOWN_QUERY_PARAMETER)) return refused;
  }
  return std::nullopt;
}

enum class Media { kJson, kForm, kMultipart, kOther };

Media MediaOf(absl::string_view content_type) {
  const std::vector<absl::string_view> parts = absl::StrSplit(content_type, ';');
  const std::string type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts[0]));
  if (type.empty() && parts.size() == 1) return Media::kJson;
  if (type == "application/x-www-form-urlencoded") return Media::kForm;
  if (type == "multipart/form-data") return Media::kMultipart;
  if (type != "application/json") return Media::kOther;
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string parameter = absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts[i]));
    if (absl::StartsWith(parameter, "charset=") && parameter != "charset=utf-8" &&
        parameter != "charset=\"utf-8\"")
      return Media::kOther;
  }
  return Media::kJson;
}

// Adds {source, content, content_type} to the files field. What the bytes are is the server's to
// say.
Refused AddFile(const FieldDescriptor& files, const httplib::MultipartFormData& part,
                Message& message) {
  const auto* reflection = message.GetReflection();
  const std::string place =
      absl::StrCat(files.name(), "[", reflection->FieldSize(message, &files), "].source");
  if (!IsUtf8(part.filename) || !IsUtf8(part.content_type))
    return MakeApiError(Reason::INVALID_UTF8, "the name of a file is not valid UTF-8", place);
  Message* file = reflection->AddMessage(&message, &files);
  for (const auto& [name, text] :
       {std::pair<const char*, const std::string*>{"source", &part.filename},
        {"content_type", &part.content_type},
        {"content", &part.content}}) {
    const FieldDescriptor* field = files.message_type()->FindFieldByName(name);
    if (field && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING)
      file->GetReflection()->SetString(file, field, *text);
  }
  return std::nullopt;
}

Refused ReadMultipart(const Route& route, const httplib::Request& request, FieldFiller& filler,
                      Message& message) {
  for (const auto& [name, part] : request.files) {
    Refused refused = part.filename.empty() ? filler.Fill(name, part.content, Reason::UNKNOWN_FIELD)
                                            : AddFile(*route.files_field, part, message);
    if (refused) return refused;
  }
  return std::nullopt;
}

// "{…" after white space: curl -d without a header says "form" and means this.
bool LooksLikeJson(absl::string_view body) {
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(body), "{");
}

Refused ReadBody(const Route& route, const httplib::Request& request, FieldFiller& filler,
                 Message& message) {
  const std::string content_type = request.get_header_value("Content-Type");
  const Media media = MediaOf(content_type);
  if (media == Media::kMultipart && route.files_field)
    return ReadMultipart(route, request, filler, message);
  if (request.body.empty() && media != Media::kMultipart) return std::nullopt;
  if (media == Media::kJson || (media == Media::kForm && LooksLikeJson(request.body)))
    return ReadJson(request.body, message);
  return MakeApiError(Reason::UNSUPPORTED_MEDIA_TYPE,
                      absl::StrCat("the body must be application/json (UTF-8)",
                                   route.files_field ? " or multipart/form-data with files" : ""));
}

bool HasField(const Message& message, const FieldPath& path) {
  const Message* level = &message;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    if (!level->GetReflection()->HasField(*level, path[i])) return false;
    level = &level->GetReflection()->GetMessage(*level, path[i]);
  }
  return level->GetReflection()->HasField(*level, path.back());
}

}  // namespace

Target SplitTarget(absl::string_view target) {
  const size_t scheme = target.find("://");
  const bool absolute = !absl::StartsWith(target, "/") && scheme != absl::string_view::npos;
  if (absolute)
    target.remove_prefix(std::min(target.find_first_of("/?#", scheme + 3), target.size()));
  target = target.substr(0, target.find('#'));
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(target, absl::MaxSplits('?', 1));
  return {absolute && parts.first.empty() ? "/" : parts.first, parts.second};
}

std::optional<std::string> PercentDecode(absl::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else if (i + 2 < text.size() && absl::ascii_isxdigit(text[i + 1]) &&
               absl::ascii_isxdigit(text[i + 2])) {
      out += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

Refused ReadRequest(const Route& route, const std::vector<std::string>& segments,
                    absl::string_view query, const httplib::Request& request, Message& message) {
  FieldFiller filler(route, message);
  if (route.has_body) {
    if (auto refused = ReadBody(route, request, filler, message)) return refused;
  } else if (!request.body.empty()) {
    return MakeApiError(Reason::MALFORMED_REQUEST,
                        absl::StrCat(route.http_method, " ", route.path, " takes no body"));
  }
  for (size_t i = 0; i < route.variables.size(); ++i) {
    if (HasField(message, route.variables[i]))
      return MakeApiError(Reason::FIELD_INVALID, "is given by the path already",
                          Dotted(route.variables[i]));
    if (auto refused = filler.FillVariable(route.variables[i], segments[i])) return refused;
  }
  if (query.empty()) return std::nullopt;
  if (!route.has_body) return ReadQuery(query, filler);
  const absl::string_view name = query.substr(0, query.find_first_of("=&"));
  return MakeApiError(
      Reason::UNKNOWN_QUERY_PARAMETER,
      absl::StrCat("unknown: ", Printable(name), "; the fields of this request stand in its body"),
      Printable(name));
}

}  // namespace aibackend::gateway
