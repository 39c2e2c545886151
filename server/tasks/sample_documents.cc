#include "server/tasks/sample_documents.h"

#include <utility>

#include "server/tasks/sample_corpus.h"

namespace aibackend::tasks {

std::vector<retrieval::StoredDocument> SampleDocuments() {
  std::vector<retrieval::StoredDocument> documents;
  for (auto& sample : SampleCorpus()) {
    retrieval::StoredDocument document;
    document.id = std::move(sample.id);
    document.title = std::move(sample.title);
    document.text = std::move(sample.text);
    document.source = "sample corpus";
    documents.push_back(std::move(document));
  }
  return documents;
}

}  // namespace aibackend::tasks
