#include "server/rpc/ingest.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/extract/extract.h"
#include "server/rpc/convert.h"

namespace aibackend::rpc {
namespace {

// Counts those who read a file, over all calls of the process: what they take is memory of the
// process.
class ReadingPlace {
 public:
  ReadingPlace() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* free) { return *free > 0; }, &free_));
    --free_;
  }
  ~ReadingPlace() {
    absl::MutexLock lock(&mutex_);
    ++free_;
  }
  ReadingPlace(const ReadingPlace&) = delete;
  ReadingPlace& operator=(const ReadingPlace&) = delete;

 private:
  static absl::Mutex mutex_;
  static int free_ ABSL_GUARDED_BY(mutex_);
};

absl::Mutex ReadingPlace::mutex_(absl::kConstInit);
int ReadingPlace::free_ = kFilesReadMax;

std::string FirstOf(const std::string& a, const std::string& b, const std::string& c) {
  return !a.empty() ? a : !b.empty() ? b : c;
}

absl::StatusOr<std::vector<retrieval::StoredDocument>> ReadFile(const v1::Document& document,
                                                                const std::string& field) {
  if (!document.text().empty()) {
    return MakeError(Reason::FIELD_INVALID, "text and content exclude each other",
                     absl::StrCat(field, ".content"));
  }
  const ReadingPlace place;
  extract::ExtractRequest request;
  request.bytes = document.content();
  request.content_type = document.content_type();
  request.file_name = document.source();
  request.field = absl::StrCat(field, ".content");
  AIB_ASSIGN_OR_RETURN(extract::Extracted extracted,
                       extract::Extract(request, extract::ExtractLimits()));
  const retrieval::StoredDocument given = ToDocument(document);
  const bool is_one = extracted.documents.size() == 1;
  std::vector<retrieval::StoredDocument> stored;
  stored.reserve(extracted.documents.size());
  for (extract::ExtractedDocument& part : extracted.documents) {
    stored.emplace_back();
    retrieval::StoredDocument& out = stored.back();
    out.id = FirstOf(is_one ? given.id : "", part.id, "");
    out.title = FirstOf(is_one ? given.title : "", part.title, given.source);
    out.text = std::move(part.text);
    out.source = FirstOf(part.source, given.source, "");
    out.metadata = FirstOf(part.metadata, given.metadata, "");
  }
  return stored;
}

}  // namespace

Ingested IngestOne(const v1::Document& document, const std::string& field) {
  Ingested one;
  if (document.content().empty()) {
    one.documents.push_back(ToDocument(document));
    return one;
  }
  auto read = ReadFile(document, field);
  one.status = read.status();
  if (read.ok()) one.documents = *std::move(read);
  return one;
}

std::vector<Ingested> Ingest(const google::protobuf::RepeatedPtrField<v1::Document>& documents) {
  std::vector<Ingested> ingested;
  ingested.reserve(static_cast<size_t>(documents.size()));
  for (const v1::Document& document : documents) {
    ingested.push_back(IngestOne(document, absl::StrCat("documents[", ingested.size(), "]")));
  }
  return ingested;
}

absl::Status StoreIngested(retrieval::DocumentStore& store,
                           const retrieval::CollectionId& collection,
                           std::vector<Ingested> ingested, v1::AddDocumentsResponse* response) {
  std::vector<retrieval::StoredDocument> documents;
  std::vector<size_t> counts;
  for (Ingested& one : ingested) {
    counts.push_back(one.documents.size());
    for (auto& document : one.documents) documents.push_back(std::move(document));
  }
  std::vector<retrieval::AddedDocument> added;
  if (!documents.empty()) {
    AIB_ASSIGN_OR_RETURN(added, store.Add(collection, std::move(documents)));
  }
  auto next = added.begin();
  for (size_t i = 0; i < ingested.size(); ++i) {
    if (!ingested[i].status.ok()) FillFailed(ingested[i].status, response->add_documents());
    for (size_t n = 0; n < counts[i]; ++n) Fill(*next++, response->add_documents());
  }
  return absl::OkStatus();
}

}  // namespace aibackend::rpc
