// What a document may be, and what it is called when nobody named it.
#pragma once

#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/retrieval/document_store.h"

namespace aibackend::retrieval {

// The limits of documents.proto.
constexpr size_t kDocumentIdBytesMax = 256;
constexpr size_t kTitleBytesMax = 1024;
constexpr size_t kTextBytesMax = 8 << 20;
constexpr size_t kSourceBytesMax = 2048;
constexpr size_t kMetadataBytesMax = 16 << 10;
constexpr size_t kCollectionBytesMax = 64;

// Fails with FIELD_REQUIRED, FIELD_INVALID, FIELD_OUT_OF_RANGE or INVALID_UTF8; the field is
// `path`.name, such as "documents[3].title".
absl::Status ValidateDocument(const StoredDocument& document, absl::string_view path);

// Fails with FIELD_INVALID or FIELD_OUT_OF_RANGE, field "collection".
absl::Status ValidateCollection(absl::string_view collection);

// "doc_" and 24 hexadecimal digits of the SHA-256 of title and text: the same text added twice is
// one document.
std::string ContentId(const StoredDocument& document);

// SHA-256, hexadecimal, of the parts with their lengths: no two lists of parts are the same bytes.
std::string Sha256Hex(std::initializer_list<absl::string_view> parts);

// SHA-256, hexadecimal, of all that a document says: equal means unchanged.
std::string ContentHash(const StoredDocument& document);

}  // namespace aibackend::retrieval
