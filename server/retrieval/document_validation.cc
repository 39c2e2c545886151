#include "server/retrieval/document_validation.h"

#include <openssl/evp.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <array>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/retrieval/metadata_fields.h"

namespace aibackend::retrieval {
namespace {

absl::Status CheckText(absl::string_view text, size_t bytes_max, const std::string& field) {
  if (text.size() > bytes_max) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("must be at most ", bytes_max, " bytes; got ", text.size()),
                     field);
  }
  if (!IsValidUtf8(text)) {
    return MakeError(Reason::INVALID_UTF8, "must be well-formed UTF-8", field);
  }
  return absl::OkStatus();
}

bool HasControlCharacter(absl::string_view text) {
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0 || u_iscntrl(c)) return true;
  }
  return false;
}

absl::Status CheckId(absl::string_view id, const std::string& field) {
  AIB_RETURN_IF_ERROR(CheckText(id, kDocumentIdBytesMax, field));
  if (id.find('/') != absl::string_view::npos || HasControlCharacter(id)) {
    return MakeError(Reason::FIELD_INVALID, "must be printable text without '/'", field);
  }
  return absl::OkStatus();
}

absl::Status CheckMetadata(const std::string& metadata, const std::string& field) {
  AIB_RETURN_IF_ERROR(CheckText(metadata, kMetadataBytesMax, field));
  if (metadata.empty()) return absl::OkStatus();
  const auto json = nlohmann::json::parse(metadata, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return MakeError(Reason::FIELD_INVALID, "must be a JSON object", field);
  bool is_too_deep = false;
  const size_t values = FlattenMetadata(metadata, &is_too_deep).size();
  if (is_too_deep) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("nests deeper than ", kMetadataDepthMax, " levels"), field);
  }
  if (values > kMetadataValuesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("holds ", values, " different values and objects; at most ",
                                  kMetadataValuesMax, " are taken"),
                     field);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateDocument(const StoredDocument& document, absl::string_view path) {
  const auto field = [&](const char* name) { return absl::StrCat(path, ".", name); };
  AIB_RETURN_IF_ERROR(CheckId(document.id, field("id")));
  AIB_RETURN_IF_ERROR(CheckText(document.title, kTitleBytesMax, field("title")));
  if (document.text.empty()) {
    return MakeError(Reason::FIELD_REQUIRED, "a document needs a text", field("text"));
  }
  AIB_RETURN_IF_ERROR(CheckText(document.text, kTextBytesMax, field("text")));
  AIB_RETURN_IF_ERROR(CheckText(document.source, kSourceBytesMax, field("source")));
  return CheckMetadata(document.metadata, field("metadata"));
}

absl::Status ValidateCollection(absl::string_view collection) {
  if (collection.empty() || collection.size() > kCollectionBytesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("must be 1 to ", kCollectionBytesMax, " bytes"), "collection");
  }
  for (const char c : collection) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.') {
      continue;
    }
    return MakeError(Reason::FIELD_INVALID, "must be of letters, digits, '-', '_' and '.'",
                     "collection");
  }
  return absl::OkStatus();
}

std::string Sha256Hex(std::initializer_list<absl::string_view> parts) {
  std::string bytes;
  for (const absl::string_view part : parts) absl::StrAppend(&bytes, part.size(), ":", part);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

std::string ContentId(const StoredDocument& document) {
  return absl::StrCat("doc_", Sha256Hex({document.title, document.text}).substr(0, 24));
}

std::string ContentHash(const StoredDocument& document) {
  return Sha256Hex({document.title, document.text, document.source, document.metadata});
}

}  // namespace aibackend::retrieval
