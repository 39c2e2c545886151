// Puts the documents of an upload together from the messages of its stream.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "aibackend/v1/documents.pb.h"

namespace aibackend::rpc {

// A file beyond it is FAILED; ExtractLimits and documents.proto say the same.
inline constexpr size_t kUploadFileBytesMax = 32 << 20;
// Rows of the answer: more would not fit the message that brings them all.
inline constexpr size_t kUploadDocumentsMax = 10'000;
// What is put into the database together: one transaction costs much more than one small document.
inline constexpr size_t kUploadGroupDocumentsMax = 50;
inline constexpr size_t kUploadGroupBytesMax = 4 << 20;

struct UploadedDocument {
  v1::Document document;
  size_t ordinal = 0;   // among the documents of the stream
  absl::Status status;  // why it can't be stored; its content is gone then
};

// Holds at most the group that is whole and the document that is not. Not thread-safe.
class UploadAssembly {
 public:
  // Errors: FIELD_REQUIRED (document) for content before the first document, FIELD_INVALID or
  // FIELD_OUT_OF_RANGE (collection), FIELD_OUT_OF_RANGE (document) for one too many. What was whole
  // before stays so.
  absl::Status Take(v1::UploadDocumentsRequest message);

  // The stream has ended as it should: so has its last document. Errors: FIELD_REQUIRED (document)
  // when there was none.
  absl::Status End();

  // As the first message says; it doesn't change once a document began.
  const std::string& collection() const { return collection_; }

  bool HasGroup() const { return !group_.empty(); }
  // Time to store what is whole.
  bool IsGroupFull() const;
  std::vector<UploadedDocument> TakeGroup();

 private:
  absl::Status TakeCollection(const std::string& collection);
  absl::Status Begin(v1::Document document);
  absl::Status Append(const std::string& content);
  void CloseLast();

  std::string collection_;
  bool has_begun_ = false;  // a message came
  size_t begun_ = 0;        // documents
  bool has_last_ = false;   // `last_` is a document that is not whole yet
  UploadedDocument last_;
  std::vector<UploadedDocument> group_;
  size_t group_bytes_ = 0;
};

}  // namespace aibackend::rpc
