#include "server/rpc/upload_assembly.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/retrieval/document_validation.h"

namespace aibackend::rpc {
namespace {

absl::Status TooLarge(size_t ordinal) {
  return MakeError(Reason::REQUEST_TOO_LARGE,
                   absl::StrCat("a file must be at most ", kUploadFileBytesMax, " bytes"),
                   absl::StrCat("documents[", ordinal, "].content"));
}

}  // namespace

absl::Status UploadAssembly::Take(v1::UploadDocumentsRequest message) {
  AIB_RETURN_IF_ERROR(TakeCollection(message.collection()));
  if (message.has_document()) AIB_RETURN_IF_ERROR(Begin(std::move(*message.mutable_document())));
  if (!message.content().empty()) return Append(message.content());
  return absl::OkStatus();
}

absl::Status UploadAssembly::End() {
  CloseLast();
  if (begun_ > 0) return absl::OkStatus();
  return MakeError(Reason::FIELD_REQUIRED, "an upload holds at least one document", "document");
}

bool UploadAssembly::IsGroupFull() const {
  return group_.size() >= kUploadGroupDocumentsMax || group_bytes_ >= kUploadGroupBytesMax;
}

std::vector<UploadedDocument> UploadAssembly::TakeGroup() {
  group_bytes_ = 0;
  return std::exchange(group_, {});
}

absl::Status UploadAssembly::TakeCollection(const std::string& collection) {
  const bool is_first = !std::exchange(has_begun_, true);
  if (collection.empty()) return absl::OkStatus();
  if (!is_first) {
    return MakeError(Reason::FIELD_INVALID, "is for the first message of the stream alone",
                     "collection");
  }
  collection_ = collection;
  return retrieval::ValidateCollection(collection);
}

absl::Status UploadAssembly::Begin(v1::Document document) {
  CloseLast();
  if (begun_ == kUploadDocumentsMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("an upload takes at most ", kUploadDocumentsMax,
                                  " documents; more go in another"),
                     "document");
  }
  last_.document = std::move(document);
  last_.ordinal = begun_++;
  last_.status = absl::OkStatus();
  has_last_ = true;
  if (last_.document.content().size() > kUploadFileBytesMax) {
    last_.document.Clear();
    last_.status = TooLarge(last_.ordinal);
  }
  return absl::OkStatus();
}

absl::Status UploadAssembly::Append(const std::string& content) {
  if (!has_last_) {
    return MakeError(Reason::FIELD_REQUIRED, "content needs a document that it belongs to",
                     "document");
  }
  if (!last_.status.ok()) return absl::OkStatus();
  std::string& kept = *last_.document.mutable_content();
  if (content.size() > kUploadFileBytesMax - kept.size()) {
    last_.document.Clear();
    last_.status = TooLarge(last_.ordinal);
    return absl::OkStatus();
  }
  kept.append(content);
  return absl::OkStatus();
}

void UploadAssembly::CloseLast() {
  if (!has_last_) return;
  group_bytes_ += last_.document.ByteSizeLong();  // the metadata too: nothing else bounds them yet
  group_.push_back(std::exchange(last_, {}));
  has_last_ = false;
}

}  // namespace aibackend::rpc
