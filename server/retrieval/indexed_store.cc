#include "server/retrieval/indexed_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/retrieval/document_tables.h"
#include "server/retrieval/document_validation.h"

namespace aibackend::retrieval {
namespace {

constexpr size_t kInlineFitChunksMax = 2000;  // about a second; a greater first fit is a job's
constexpr double kOutgrownFactor = 1.5;
constexpr size_t kQueryBytesMax = 32 << 10;  // a question has far less; more is not read

std::shared_ptr<Document> ToDocument(StoredDocument&& stored, absl::Time now) {
  auto document = std::make_shared<Document>();
  document->content_hash = ContentHash(stored);
  document->id = stored.id.empty() ? ContentId(stored) : std::move(stored.id);
  document->title = std::move(stored.title);
  document->text = std::move(stored.text);
  document->source = std::move(stored.source);
  document->metadata = std::move(stored.metadata);
  document->created_at = now;
  document->chunks = CutIntoChunks(document->text);
  return document;
}

Match ToMatch(Hit&& hit) {
  const Document& document = *hit.document;
  const Span& span = document.chunks[hit.ordinal];
  return {document.id,       absl::StrCat(document.id, "#", hit.ordinal),
          document.title,    document.source,
          document.metadata, std::string(document.ChunkText(hit.ordinal)),
          span.start,        span.end,
          hit.score,         std::move(hit.explanation)};
}

}  // namespace

// --- Searching

std::shared_ptr<const CollectionIndex> IndexedStore::FindIndex(
    const CollectionId& collection) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = indexes_.find(collection);
  return found == indexes_.end() ? nullptr : found->second;
}

absl::StatusOr<RetrieveResult> IndexedStore::Retrieve(const RetrieveQuery& query) const {
  RetrieveResult result;
  result.mode = Mode::kLexical;
  const auto index = FindIndex(query.collection);
  if (index == nullptr || query.top_k <= 0) return result;
  SearchQuery search;
  search.text = Utf8Prefix(query.text, kQueryBytesMax);
  search.top_k = static_cast<size_t>(query.top_k);
  search.mode = query.mode;
  search.filter = &query.filter;
  search.legs = options_.legs;
  search.explain = query.explain;
  // Of the index's own embedder: whatever is swapped in meanwhile, the dimensions fit.
  const QueryVectors::Vector vector = VectorOfQuery(*index, query, search.text, result.is_degraded);
  search.vector = vector.get();
  AIB_ASSIGN_OR_RETURN(SearchResult found, index->Search(search));
  result.mode = found.mode;
  result.generation = found.generation;
  result.confidence = found.confidence;
  if (vector != nullptr && index->unembedded_chunks() > 0) ReportIfEmbedderIsBack(query.collection);
  for (Hit& hit : found.hits) {
    if (hit.score >= query.min_score) result.matches.push_back(ToMatch(std::move(hit)));
  }
  return result;
}

absl::optional<uint64_t> IndexedStore::Revision(const CollectionId& collection) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = revisions_.find(collection);
  return found == revisions_.end() ? 0 : found->second;
}

std::vector<Retriever::WeightedTerm> IndexedStore::Analyze(absl::string_view text,
                                                           const CollectionId& collection) const {
  const auto index = FindIndex(collection);
  text = Utf8Prefix(text, kQueryBytesMax);
  return index != nullptr ? index->Analyze(text) : CollectionIndex().Analyze(text);
}

// --- Changing

void IndexedStore::Publish(const CollectionId& collection, std::shared_ptr<CollectionIndex> index) {
  Collection& state = StateOf(collection);
  if (state.index != index) {
    state.has_reported_outgrown = false;
    state.failures_at_report.reset();
  }
  state.index = index;
  absl::MutexLock lock(&mutex_);
  indexes_[collection] = std::move(index);
  Revise(collection);
}

void IndexedStore::Revise(const CollectionId& collection) {
  revisions_[collection] = ++last_revision_;
}

absl::StatusOr<std::vector<AddedDocument>> IndexedStore::Add(
    const CollectionId& collection, std::vector<StoredDocument> documents) {
  AIB_RETURN_IF_ERROR(ValidateCollection(collection.name));
  for (size_t i = 0; i < documents.size(); ++i) {
    AIB_RETURN_IF_ERROR(ValidateDocument(documents[i], absl::StrCat("documents[", i, "]")));
  }
  const absl::Time now = clock_.Now();
  std::vector<std::shared_ptr<Document>> cut;
  cut.reserve(documents.size());
  for (StoredDocument& document : documents) cut.push_back(ToDocument(std::move(document), now));

  std::vector<AddedDocument> added;
  {
    // What is found now isn't forgotten before it is stored.
    absl::ReaderMutexLock in_use(&vectors_.in_use());
    const EmbeddedDocuments embedded = EmbedForAdd(collection, cut);
    absl::MutexLock lock(&writer_);
    std::map<std::string, Plan> plan;
    added = MakePlan(StateOf(collection), std::move(cut), plan);
    const auto store = [&](storage::Session& session) -> absl::Status {
      for (auto& [id, change] : plan) {
        if (change.after == nullptr) continue;
        if (change.before != nullptr) {
          AIB_RETURN_IF_ERROR(DeleteDocument(session, change.before->seq));
        }
        AIB_ASSIGN_OR_RETURN(change.after->seq, InsertDocument(session, collection, *change.after));
      }
      return absl::OkStatus();
    };
    AIB_RETURN_IF_ERROR(database_.Write(store));
    ApplyPlan(collection, std::move(plan), embedded);
  }
  ReportIfOutgrown(collection);
  return added;
}

// What the documents come to, one after the other: of an id that is given twice the last stays.
std::vector<AddedDocument> IndexedStore::MakePlan(const Collection& state,
                                                  std::vector<std::shared_ptr<Document>> documents,
                                                  std::map<std::string, Plan>& plan) const {
  std::vector<AddedDocument> added;
  for (std::shared_ptr<Document>& document : documents) {
    const auto stored = state.documents.find(document->id);
    Plan& change = plan[document->id];
    if (stored != state.documents.end()) change.before = stored->second;
    const Document* current = change.after != nullptr ? change.after.get() : change.before.get();
    AddStatus status = AddStatus::kAdded;
    if (current != nullptr) {
      status = current->content_hash == document->content_hash ? AddStatus::kUnchanged
                                                               : AddStatus::kUpdated;
    }
    added.push_back({document->id, static_cast<int>(document->chunks.size()), status});
    if (status == AddStatus::kUnchanged) {
      added.back().chunks = static_cast<int>(current->chunks.size());
      continue;
    }
    // Given back its first content within the call: nothing is left to change.
    const bool is_as_before =
        change.before != nullptr && change.before->content_hash == document->content_hash;
    change.after = is_as_before ? nullptr : std::move(document);
  }
  return added;
}

void IndexedStore::ApplyPlan(const CollectionId& name, std::map<std::string, Plan> plan,
                             const EmbeddedDocuments& embedded) {
  Collection& state = StateOf(name);
  // Another embedder may have taken over since they were made.
  const absl::optional<OutsideSpace> space = state.index->outside();
  const bool are_vectors_used = space && space->key == embedded.key;
  std::vector<Change> changes;
  size_t chunks = state.index->chunks();
  for (auto& [id, change] : plan) {
    if (change.after == nullptr) continue;
    chunks += change.after->chunks.size();
    if (change.before != nullptr) chunks -= change.before->chunks.size();
    state.documents[id] = change.after;
    const auto vectors = embedded.vectors.find(change.after.get());
    changes.push_back(
        {change.before == nullptr ? 0 : change.before->seq, change.after,
         are_vectors_used && vectors != embedded.vectors.end() ? vectors->second : nullptr});
  }
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.added->seq < b.added->seq; });
  if (FitsInline(state, chunks, !embedded.vectors.empty())) {
    FitAll(name, state.generation + 1);
    return;
  }
  state.index->Apply(changes);
  Publish(name, state.index);
}

// True for a first fit that is small, and where removed chunks have piled up because nobody rebuilt
// the collection.
bool IndexedStore::FitsInline(const Collection& state, size_t chunks, bool has_vectors) const {
  const bool is_ready =
      state.embedder == kFittedEmbedder ? chunks >= kFitChunksMin : has_vectors && chunks > 0;
  const bool is_first =
      state.index->fitted_chunks() == 0 && is_ready && chunks <= kInlineFitChunksMax;
  const bool is_littered = state.index->slots() > 4 * std::max(chunks, kInlineFitChunksMax);
  return is_first || is_littered;
}

absl::Status IndexedStore::Delete(const CollectionId& collection, const std::string& id) {
  AIB_RETURN_IF_ERROR(DeleteStored(collection, id));
  ReportIfOutgrown(collection);
  return absl::OkStatus();
}

absl::Status IndexedStore::DeleteStored(const CollectionId& collection, const std::string& id) {
  absl::MutexLock lock(&writer_);
  const auto state = collections_.find(collection);
  if (state == collections_.end() || !state->second.documents.contains(id)) {
    return MakeError(Reason::DOCUMENT_NOT_FOUND, "there is no such document", "id");
  }
  const DocumentPtr document = state->second.documents.at(id);
  AIB_RETURN_IF_ERROR(database_.Write(
      [&](storage::Session& session) { return DeleteDocument(session, document->seq); }));
  state->second.documents.erase(id);
  state->second.index->Apply({{document->seq, nullptr}});
  absl::MutexLock look(&mutex_);
  Revise(collection);
  return absl::OkStatus();
}

void IndexedStore::OnOutgrown(std::function<void(const CollectionId& collection)> callback) {
  std::vector<CollectionId> all;
  {
    absl::MutexLock lock(&writer_);
    on_outgrown_ = std::move(callback);
    for (const auto& [name, state] : collections_) all.push_back(name);
  }
  for (const CollectionId& name : all) ReportIfOutgrown(name);
}

// Notes that it was reported.
bool IndexedStore::ShouldReport(Collection& state) const {
  if (!on_outgrown_) return false;
  const auto fitted = static_cast<double>(state.index->fitted_chunks());
  const auto chunks = static_cast<double>(state.index->chunks());
  const auto slots = static_cast<double>(state.index->slots());
  // Also where much of what the embedding was fitted on has gone: it speaks of other texts then.
  const bool is_outgrown =
      state.index->chunks() >= kFitChunksMin &&
      (slots >= kOutgrownFactor * fitted || kOutgrownFactor * chunks <= fitted);
  bool should = is_outgrown && !std::exchange(state.has_reported_outgrown, is_outgrown);
  const WatchedEmbedder* embedder = FindEmbedder(state.embedder);
  if (embedder == nullptr) return should && state.embedder == kFittedEmbedder;
  // Once for an index, and again when an embedder that failed since has answered.
  const bool is_news = !state.failures_at_report ||
                       (!embedder->IsAway() && *state.failures_at_report != embedder->failures());
  if (state.index->unembedded_chunks() > 0 && is_news) {
    state.failures_at_report = embedder->failures();
    should = true;
  }
  return should;
}

void IndexedStore::ReportIfOutgrown(const CollectionId& name) {
  std::function<void(const CollectionId&)> callback;
  {
    absl::MutexLock lock(&writer_);
    if (!ShouldReport(StateOf(name))) return;
    callback = on_outgrown_;
  }
  callback(name);
}

// --- Reading

absl::StatusOr<StoredDocument> IndexedStore::Get(const CollectionId& collection,
                                                 const std::string& id) {
  StoredDocument document;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(document, ReadDocument(session, collection, id));
    return absl::OkStatus();
  }));
  return document;
}

absl::StatusOr<DocumentPage> IndexedStore::List(const CollectionId& collection, int page_size,
                                                const std::string& page_token) {
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!page_token.empty() && (!absl::SimpleAtoi(page_token, &before) || before <= 0)) {
    return MakeError(Reason::PAGE_TOKEN_INVALID, "must be a next_page_token of this list",
                     "page_token");
  }
  DocumentPage page;
  const auto size = static_cast<size_t>(std::max(page_size, 1));
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) {
    page = DocumentPage();
    int64_t last = 0;
    return ListDocuments(session, collection, before, static_cast<int64_t>(size) + 1,
                         [&](int64_t seq, StoredDocument document) {
                           if (page.documents.size() == size) {
                             page.next_page_token = absl::StrCat(last);
                             return;
                           }
                           last = seq;
                           page.documents.push_back(std::move(document));
                         });
  }));
  return page;
}

// --- Collections

absl::StatusOr<CollectionPage> IndexedStore::ListCollections(const std::string& tenant,
                                                             int page_size,
                                                             const std::string& page_token) {
  CollectionPage page;
  const auto size = static_cast<size_t>(std::max(page_size, 1));
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    page = CollectionPage();
    AIB_ASSIGN_OR_RETURN(page.collections, ReadCollectionInfos(session, tenant, page_token,
                                                               static_cast<int64_t>(size) + 1));
    if (page.collections.size() > size) {
      page.collections.resize(size);
      page.next_page_token = page.collections.back().id.name;
    }
    for (CollectionInfo& info : page.collections) {
      AIB_RETURN_IF_ERROR(FillGenerations(session, info));
    }
    return absl::OkStatus();
  }));
  for (CollectionInfo& info : page.collections) FillUnembedded(info);
  return page;
}

absl::StatusOr<CollectionInfo> IndexedStore::GetCollection(const CollectionId& collection) {
  CollectionInfo info;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(info, ReadCollectionInfo(session, collection));
    return FillGenerations(session, info);
  }));
  FillUnembedded(info);
  return info;
}

void IndexedStore::FillUnembedded(CollectionInfo& info) const {
  const auto index = FindIndex(info.id);
  info.unembedded_chunks =
      index == nullptr ? info.chunks : static_cast<int64_t>(index->unembedded_chunks());
}

absl::StatusOr<int64_t> IndexedStore::DeleteCollection(const CollectionId& collection) {
  // A rebuild that runs finds out when it catches up: it may wait long for an embedder.
  absl::MutexLock lock(&writer_);
  int64_t deleted = 0;
  AIB_RETURN_IF_ERROR(database_.Write([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(deleted, retrieval::DeleteCollection(session, collection));
    return absl::OkStatus();
  }));
  collections_.erase(collection);
  if (snapshots_.is_kept()) snapshots_.Remove(collection);
  {
    absl::MutexLock look(&mutex_);
    indexes_.erase(collection);
    Revise(collection);
  }
  if (deleted == 0) return NoSuchCollection();
  return deleted;
}

}  // namespace aibackend::retrieval
