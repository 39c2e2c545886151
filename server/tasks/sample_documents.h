// The sample corpus as documents that a store takes.
#pragma once

#include <vector>

#include "server/retrieval/document_store.h"

namespace aibackend::tasks {

// Thread-safe; ids are stable, so adding them twice changes nothing.
std::vector<retrieval::StoredDocument> SampleDocuments();

}  // namespace aibackend::tasks
