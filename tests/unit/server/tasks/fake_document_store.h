// A store that holds nothing: a test overrides what its job asks for.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/retrieval/document_store.h"

namespace aibackend::tasks {

class FakeDocumentStore : public retrieval::DocumentStore {
 public:
  absl::StatusOr<std::vector<retrieval::AddedDocument>> Add(
      const retrieval::CollectionId&, std::vector<retrieval::StoredDocument>) override {
    return std::vector<retrieval::AddedDocument>();
  }
  absl::Status CheckEmbedder(const std::string&) const override { return absl::OkStatus(); }
  absl::StatusOr<retrieval::RebuildResult> Rebuild(const retrieval::CollectionId&,
                                                   const retrieval::RebuildRequest&,
                                                   Progress) override {
    return retrieval::RebuildResult();
  }
  absl::StatusOr<retrieval::RebuildResult> Rollback(const retrieval::CollectionId&, int,
                                                    const std::string&, Progress) override {
    return retrieval::RebuildResult();
  }
  absl::StatusOr<retrieval::StoredDocument> Get(const retrieval::CollectionId&,
                                                const std::string&) override {
    return MakeError(Reason::DOCUMENT_NOT_FOUND, "");
  }
  absl::Status Delete(const retrieval::CollectionId&, const std::string&) override {
    return absl::OkStatus();
  }
  absl::StatusOr<retrieval::DocumentPage> List(const retrieval::CollectionId&, int,
                                               const std::string&) override {
    return retrieval::DocumentPage{};
  }
  absl::StatusOr<retrieval::CollectionPage> ListCollections(const std::string&, int,
                                                            const std::string&) override {
    return retrieval::CollectionPage{};
  }
  absl::StatusOr<retrieval::CollectionInfo> GetCollection(const retrieval::CollectionId&) override {
    return MakeError(Reason::COLLECTION_NOT_FOUND, "");
  }
  absl::StatusOr<int64_t> DeleteCollection(const retrieval::CollectionId&) override {
    return MakeError(Reason::COLLECTION_NOT_FOUND, "");
  }
  void SaveSnapshots() override {}
  void OnOutgrown(std::function<void(const retrieval::CollectionId&)>) override {}
  absl::StatusOr<retrieval::RetrieveResult> Retrieve(
      const retrieval::RetrieveQuery&) const override {
    return retrieval::RetrieveResult();
  }
  std::vector<WeightedTerm> Analyze(absl::string_view,
                                    const retrieval::CollectionId&) const override {
    return {};
  }
};

}  // namespace aibackend::tasks
