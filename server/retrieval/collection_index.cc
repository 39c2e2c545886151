#include "server/retrieval/collection_index.h"

#include <algorithm>
#include <thread>

#include "server/retrieval/linear_algebra.h"

namespace aibackend::retrieval {
namespace {

constexpr float kNeighbourTermWeight = 0.6F;

std::shared_ptr<const MetadataFields> FieldsOf(const Document& document) {
  return std::make_shared<const MetadataFields>(FlattenMetadata(document.metadata));
}

}  // namespace

// A chunk ready to be put in, so that the lock is held for the putting in alone.
struct CollectionIndex::PreparedChunk {
  DocumentPtr document;
  size_t ordinal = 0;
  ChunkTerms terms;
  std::shared_ptr<const MetadataFields> metadata;
  std::vector<float> vector;  // empty: there is none
};

// The same for a chunk that goes.
struct CollectionIndex::Removal {
  Slot slot = 0;
  DocumentPtr document;
  ChunkTerms terms;
  std::shared_ptr<const MetadataFields> metadata;
};

CollectionIndex::Fitted::Fitted(std::shared_ptr<const FittedSpace> s)
    : space(std::move(s)),
      vectors(space->dimensions()),
      gate([this](const VectorQuery* queries, size_t count,
                  TopRows* results) { vectors.Search(queries, count, results); },
           Int8Scan::kBatchQueriesMax, std::max(1U, std::thread::hardware_concurrency())) {}

CollectionIndex::Fitted::Fitted(OutsideSpace o)
    : outside(std::move(o)),
      vectors(outside.dimensions),
      gate([this](const VectorQuery* queries, size_t count,
                  TopRows* results) { vectors.Search(queries, count, results); },
           Int8Scan::kBatchQueriesMax, std::max(1U, std::thread::hardware_concurrency())) {}

void CollectionIndex::Fitted::AddRow(const std::vector<float>& vector) {
  const std::vector<float> zeros(vector.empty() ? vectors.dimensions() : 0);
  vectors.Add(vector.empty() ? zeros.data() : vector.data());
}

std::vector<CollectionIndex::PreparedChunk> CollectionIndex::Prepare(const Change& change) const {
  std::shared_ptr<const FittedSpace> space;
  size_t dimensions = 0;
  {
    absl::ReaderMutexLock lock(&mutex_);
    if (fitted_ != nullptr) space = fitted_->space;
    if (fitted_ != nullptr) dimensions = fitted_->vectors.dimensions();
  }
  const DocumentPtr& document = change.added;
  const auto metadata = FieldsOf(*document);
  std::vector<PreparedChunk> prepared;
  for (size_t i = 0; i < document->chunks.size(); ++i) {
    PreparedChunk chunk{
        document, i, AnalyzeChunk(document->title, document->ChunkText(i)), metadata, {}};
    if (space != nullptr) {
      chunk.vector.resize(dimensions);
      space->Embed(chunk.terms.text.words, chunk.vector.data());
    } else if (dimensions > 0 && change.vectors != nullptr &&
               change.vectors->at(i).size() == dimensions) {
      chunk.vector = change.vectors->at(i);
    }
    prepared.push_back(std::move(chunk));
  }
  return prepared;
}

void CollectionIndex::Apply(const std::vector<Change>& changes) {
  UseOneMathThread();
  for (const Change& change : changes) {
    SlotRange gone = SlotsOf(change.removed_seq);
    for (; gone.count > kStepChunks; gone.first += kStepChunks, gone.count -= kStepChunks) {
      ApplyStep(PrepareRemoval({gone.first, kStepChunks}), {});
    }
    std::vector<PreparedChunk> added;
    if (change.added != nullptr) added = Prepare(change);
    ApplyStep(PrepareRemoval(gone), std::move(added));
  }
}

// `removed` is not more than kStepChunks chunks, and goes at once.
void CollectionIndex::ApplyStep(const std::vector<Removal>& removed,
                                std::vector<PreparedChunk> added) {
  size_t next = 0;
  for (bool is_first = true; is_first || next < added.size(); is_first = false) {
    absl::MutexLock lock(&mutex_);
    ++changes_;
    if (is_first) {
      for (const Removal& removal : removed) RemoveChunk(removal);
    }
    const size_t end = std::min(added.size(), next + 2 * kStepChunks);
    for (; next < end; ++next) AddChunk(std::move(added[next]));
  }
}

void CollectionIndex::AddChunk(PreparedChunk chunk) {
  const auto slot = static_cast<Slot>(chunks_.size());
  lexical_.Add(slot, chunk.terms);
  if (fitted_ != nullptr) {
    fitted_->AddRow(chunk.vector);
    fitted_->expanded.Add(slot, chunk.terms.words_weighted);
  }
  chunks_.emplace_back();
  Place(slot,
        {std::move(chunk.document), chunk.ordinal, std::move(chunk.terms.text.words),
         !chunk.vector.empty()},
        *chunk.metadata);
}

void CollectionIndex::Place(Slot slot, Chunk chunk, const MetadataFields& metadata) {
  SlotRange& range = slots_of_.try_emplace(chunk.document->seq, SlotRange{slot, 0}).first->second;
  ++range.count;
  present_.Add(slot);
  metadata_.Add(slot, metadata);
  embedded_ += chunk.has_vector ? 1 : 0;
  chunks_[slot] = std::move(chunk);
}

CollectionIndex::SlotRange CollectionIndex::SlotsOf(int64_t seq) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = slots_of_.find(seq);
  return found == slots_of_.end() ? SlotRange() : found->second;
}

// The analysis repeats, so what goes is exactly what came.
std::vector<CollectionIndex::Removal> CollectionIndex::PrepareRemoval(SlotRange range) const {
  std::vector<Removal> removals;
  std::shared_ptr<const MetadataFields> metadata;  // all slots are of one document
  for (Slot slot = range.first; slot < range.first + range.count; ++slot) {
    DocumentPtr document;
    size_t ordinal = 0;
    {
      absl::ReaderMutexLock lock(&mutex_);
      document = chunks_[slot].document;
      ordinal = chunks_[slot].ordinal;
    }
    ChunkTerms terms = AnalyzeChunk(document->title, document->ChunkText(ordinal));
    if (metadata == nullptr) metadata = FieldsOf(*document);
    removals.push_back({slot, std::move(document), std::move(terms), metadata});
  }
  return removals;
}

void CollectionIndex::RemoveChunk(const Removal& removal) {
  slots_of_.erase(removal.document->seq);
  lexical_.Remove(removal.slot, removal.terms);
  metadata_.Remove(removal.slot, *removal.metadata);
  embedded_ -= chunks_[removal.slot].has_vector ? 1 : 0;
  chunks_[removal.slot] = Chunk();
  removed_.push_back(removal.slot);
  present_.Remove(removal.slot);
}

bool CollectionIndex::Fit(int generation) {
  UseOneMathThread();
  absl::MutexLock lock(&mutex_);
  if (chunks_.size() - removed_.size() < kFitChunksMin) return false;
  std::vector<const Bag*> texts;
  for (const Chunk& chunk : chunks_) texts.push_back(&chunk.words);

  auto fitted = std::make_unique<Fitted>(FittedSpace::Fit(texts));
  if (fitted->space->dimensions() == 0) return false;
  std::vector<float> vector(fitted->space->dimensions());
  for (const Bag* text : texts) {
    fitted->space->Embed(*text, vector.data());
    fitted->vectors.Add(vector.data());
  }
  embedded_ = chunks_.size() - removed_.size();
  for (Chunk& chunk : chunks_) chunk.has_vector = chunk.document != nullptr;
  FinishFit(generation, texts, std::move(fitted));
  return true;
}

absl::Status CollectionIndex::FitOutside(int generation, OutsideSpace space, VectorsOf vectors_of) {
  UseOneMathThread();
  absl::MutexLock lock(&mutex_);
  auto fitted = std::make_unique<Fitted>(std::move(space));
  std::vector<const Bag*> texts;
  for (size_t first = 0; first < chunks_.size(); first += kStepChunks) {
    const size_t end = std::min(chunks_.size(), first + kStepChunks);
    std::vector<ChunkRef> refs;
    for (size_t slot = first; slot < end; ++slot) {
      texts.push_back(&chunks_[slot].words);
      if (chunks_[slot].document == nullptr) continue;
      refs.push_back({chunks_[slot].document.get(), chunks_[slot].ordinal});
    }
    absl::StatusOr<ChunkVectors> vectors = vectors_of(refs);
    if (!vectors.ok()) return vectors.status();
    size_t next = 0;
    for (size_t slot = first; slot < end; ++slot) {
      std::vector<float> vector;
      if (chunks_[slot].document != nullptr) vector = std::move(vectors->at(next++));
      if (vector.size() != fitted->vectors.dimensions()) vector.clear();
      chunks_[slot].has_vector = !vector.empty();
      embedded_ += vector.empty() ? 0 : 1;
      fitted->AddRow(vector);
    }
  }
  FinishFit(generation, texts, std::move(fitted));
  return absl::OkStatus();
}

void CollectionIndex::FinishFit(int generation, const std::vector<const Bag*>& texts,
                                std::unique_ptr<Fitted> fitted) {
  fitted->graph = FindNeighbours(texts, fitted->vectors);
  fitted->chunks = texts.size();
  fitted->generation = generation;
  FitExpanded(*fitted);
  fitted_ = std::move(fitted);
}

void CollectionIndex::FitExpanded(Fitted& fitted) {
  std::vector<Bag> weighted;
  for (const Chunk& chunk : chunks_) {
    weighted.push_back(chunk.document == nullptr
                           ? Bag()
                           : AddBags(chunk.words, AnalyzeText(chunk.document->title).words));
  }
  for (Slot slot = 0; slot < chunks_.size(); ++slot) {
    Bag bag = weighted[slot];
    for (const Neighbour& neighbour : fitted.graph[slot]) {
      if (neighbour.weight == 0) continue;
      bag = AddBags(bag, weighted[neighbour.text], kNeighbourTermWeight * neighbour.weight);
    }
    fitted.expanded.Add(slot, bag);
  }
}

size_t CollectionIndex::chunks() const {
  absl::ReaderMutexLock lock(&mutex_);
  return chunks_.size() - removed_.size();
}

size_t CollectionIndex::documents() const {
  absl::ReaderMutexLock lock(&mutex_);
  return slots_of_.size();
}

size_t CollectionIndex::fitted_chunks() const {
  absl::ReaderMutexLock lock(&mutex_);
  return fitted_ == nullptr ? 0 : fitted_->chunks;
}

int CollectionIndex::generation() const {
  absl::ReaderMutexLock lock(&mutex_);
  return fitted_ == nullptr ? 0 : fitted_->generation;
}

size_t CollectionIndex::dimensions() const {
  absl::ReaderMutexLock lock(&mutex_);
  return fitted_ == nullptr ? 0 : fitted_->vectors.dimensions();
}

size_t CollectionIndex::unembedded_chunks() const {
  absl::ReaderMutexLock lock(&mutex_);
  return chunks_.size() - removed_.size() - embedded_;
}

absl::optional<OutsideSpace> CollectionIndex::outside() const {
  absl::ReaderMutexLock lock(&mutex_);
  if (fitted_ == nullptr || fitted_->space != nullptr) return absl::nullopt;
  return fitted_->outside;
}

size_t CollectionIndex::slots() const {
  absl::ReaderMutexLock lock(&mutex_);
  return chunks_.size();
}

bool CollectionIndex::Holds(int64_t seq) const {
  absl::ReaderMutexLock lock(&mutex_);
  return slots_of_.contains(seq);
}

uint64_t CollectionIndex::changes() const {
  absl::ReaderMutexLock lock(&mutex_);
  return changes_;
}

}  // namespace aibackend::retrieval
