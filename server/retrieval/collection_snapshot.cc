// What a snapshot says of an index: each part to its section and back, in one place.
//
// Not in it: what the documents say themselves (the database has them), and the chunks' bags, which
// only a fit reads. A deleted chunk leaves its slot, without a vector.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "server/retrieval/collection_index.h"
#include "server/retrieval/text_embedder.h"

namespace aibackend::retrieval {
namespace {

// A slot has a length in each of five fields: so many bytes of the file at least.
constexpr uint64_t kSlotBytesMin = 5 * sizeof(float);
// So many chunks are analysed again at a load, spread over the index: enough to see that the
// analysis is another, few enough to cost milliseconds.
constexpr size_t kAnalyzedAgainMax = 16;
// What a chunk's length or a term's count is surely below; above, an infinity isn't far.
constexpr float kCountMax = 1e9F;

struct SavedRange {
  int64_t seq = 0;
  Term content = 0;
  Slot first = 0;
  uint32_t count = 0;
};
static_assert(sizeof(SavedRange) == 24, "no padding");
static_assert(sizeof(Neighbour) == 8, "no padding");

bool IsCount(float count) {
  return count > 0 && count <= kCountMax;
}

bool AreFinite(const float* values, size_t count) {
  return std::all_of(values, values + count, [](float value) { return std::isfinite(value); });
}

// Zeros stand for a chunk that no embedder has seen.
bool HasVector(const VectorIndex& vectors, Slot slot) {
  const float* row = vectors.Row(slot);
  return std::any_of(row, row + vectors.dimensions(), [](float value) { return value != 0; });
}

// Of what a document's chunks are made of.
Term ContentOf(const Document& document) {
  std::vector<uint64_t> parts = {Fingerprint(document.title), Fingerprint(document.text)};
  for (const Span& span : document.chunks) {
    parts.push_back(span.start);
    parts.push_back(span.end);
  }
  return Fingerprint(absl::string_view(reinterpret_cast<const char*>(parts.data()),
                                       parts.size() * sizeof(uint64_t)));
}

}  // namespace

// --- The lexical legs

void TermField::Save(SnapshotSection section, size_t slots, SnapshotWriter& writer) const {
  writer.Begin(section);
  std::vector<float> lengths = lengths_;
  lengths.resize(slots);
  writer.PutArray(lengths.data(), slots);
  writer.Put(static_cast<uint64_t>(chunks_));
  writer.Put(static_cast<uint64_t>(postings_.size()));
  for (const auto& [term, list] : postings_) {
    writer.Put(term);
    writer.Put(static_cast<uint32_t>(list.size()));
    for (const Posting& posting : list) {
      writer.Put(posting.slot);
      writer.Put(posting.count);
    }
  }
  writer.End();
}

void TermField::Load(SnapshotSection section, const SavedSlots& saved, SnapshotReader& reader) {
  reader.Begin(section);
  lengths_ = reader.GetArray<float>(saved.slots);
  for (Slot slot = 0; slot < lengths_.size(); ++slot) {
    float& length = lengths_[slot];
    if (!reader.Check(length >= 0 && length <= kCountMax, "a length is none")) return;
    if (!saved.kept.Contains(slot)) length = 0;
    total_length_ += length;  // exact: in the order of adding, and of whole numbers in any
  }
  chunks_ = reader.Get<uint64_t>();
  if (!reader.Check(chunks_ <= saved.slots && chunks_ >= saved.lost, "too many chunks")) return;
  chunks_ -= saved.lost;

  const auto terms = reader.Get<uint64_t>();
  if (!reader.Fits(terms, sizeof(Term) + sizeof(uint32_t) + sizeof(Posting))) return;
  postings_.reserve(terms);
  for (uint64_t i = 0; i < terms && reader.ok(); ++i) {
    const Term term = reader.Get<Term>();
    const std::vector<Posting> all = reader.GetArray<Posting>(reader.Get<uint32_t>());
    Postings list;
    int64_t before = -1;
    for (const Posting& posting : all) {
      const bool is_one = posting.slot > before && saved.held.Contains(posting.slot);
      if (!reader.Check(is_one && IsCount(posting.count), "a posting is none")) return;
      before = posting.slot;
      if (saved.kept.Contains(posting.slot)) list.push_back(posting);
    }
    if (list.empty()) continue;
    if (!reader.Check(postings_.emplace(term, std::move(list)).second, "a term twice")) return;
  }
  reader.End();
}

bool TermField::Holds(Slot slot, const Bag& bag) const {
  float length = 0;
  for (const TermCount& t : bag) {
    if (Count(t.term, slot) != t.count) return false;
    length += t.count;
  }
  return slot < lengths_.size() && lengths_[slot] == length;
}

void LexicalIndex::Save(size_t slots, SnapshotWriter& writer) const {
  words_.Save(SnapshotSection::kWords, slots, writer);
  bigrams_.Save(SnapshotSection::kBigrams, slots, writer);
  chars_.Save(SnapshotSection::kChars, slots, writer);
  unstemmed_.Save(SnapshotSection::kUnstemmed, slots, writer);
}

void LexicalIndex::Load(const SavedSlots& saved, SnapshotReader& reader) {
  words_.Load(SnapshotSection::kWords, saved, reader);
  bigrams_.Load(SnapshotSection::kBigrams, saved, reader);
  chars_.Load(SnapshotSection::kChars, saved, reader);
  unstemmed_.Load(SnapshotSection::kUnstemmed, saved, reader);
}

bool LexicalIndex::Holds(Slot slot, const ChunkTerms& terms) const {
  return words_.Holds(slot, terms.words_weighted) && bigrams_.Holds(slot, terms.text.bigrams) &&
         chars_.Holds(slot, terms.text.chars) && unstemmed_.Holds(slot, terms.text.unstemmed);
}

// --- What is fitted

void FittedSpace::Save(SnapshotWriter& writer) const {
  writer.Begin(SnapshotSection::kSpace);
  writer.Put(static_cast<uint64_t>(vocabulary_.size()));
  for (const auto& [term, dimension] : vocabulary_) {
    writer.Put(term);
    writer.Put(dimension.row);
    writer.Put(dimension.weight);
  }
  writer.Put(static_cast<uint64_t>(basis_.rows));
  writer.PutArray(basis_.values.data(), basis_.values.size());
  writer.End();
}

std::unique_ptr<const FittedSpace> FittedSpace::Load(size_t dimensions, SnapshotReader& reader) {
  auto space = std::make_unique<FittedSpace>();
  reader.Begin(SnapshotSection::kSpace);
  const auto terms = reader.Get<uint64_t>();
  if (!reader.Fits(terms, sizeof(Term) + sizeof(Dimension))) return nullptr;
  space->vocabulary_.reserve(terms);
  uint32_t rows_min = 0;
  for (uint64_t i = 0; i < terms && reader.ok(); ++i) {
    const Term term = reader.Get<Term>();
    const Dimension dimension{reader.Get<uint32_t>(), reader.Get<float>()};
    reader.Check(std::isfinite(dimension.weight), "a weight is none");
    rows_min = std::max(rows_min, dimension.row);
    space->vocabulary_[term] = dimension;
  }
  const auto rows = reader.Get<uint64_t>();
  reader.Check(terms == 0 || rows_min < rows, "the basis is too small");
  if (!reader.Fits(rows, dimensions * sizeof(float))) return nullptr;
  space->basis_.rows = rows;
  space->basis_.columns = dimensions;
  space->basis_.values = reader.GetArray<float>(rows * dimensions);
  reader.Check(AreFinite(space->basis_.values.data(), space->basis_.values.size()),
               "the basis has a number that is none");
  reader.End();
  if (!reader.ok()) return nullptr;
  return space;
}

void VectorIndex::Save(const RowSet& kept, SnapshotWriter& writer) const {
  writer.Begin(SnapshotSection::kVectors);
  const std::vector<float> none(dimensions());
  for (size_t row = 0; row < size(); ++row) {
    writer.PutArray(kept.Contains(row) ? Row(row) : none.data(), dimensions());
  }
  writer.End();
}

void VectorIndex::Load(size_t rows, SnapshotReader& reader) {
  reader.Begin(SnapshotSection::kVectors);
  if (!reader.Fits(rows, dimensions() * sizeof(float))) return;
  for (size_t row = 0; row < rows; ++row) {
    const std::vector<float> vector = reader.GetArray<float>(dimensions());
    if (!reader.Check(AreFinite(vector.data(), vector.size()), "a vector is none")) return;
    Add(vector.data());
  }
  reader.End();
}

void SaveGraph(const NeighbourGraph& graph, SnapshotWriter& writer) {
  writer.Begin(SnapshotSection::kGraph);
  writer.Put(static_cast<uint64_t>(graph.size()));
  writer.PutArray(graph.data(), graph.size());
  writer.End();
}

NeighbourGraph LoadGraph(size_t slots, SnapshotReader& reader) {
  reader.Begin(SnapshotSection::kGraph);
  const auto size = reader.Get<uint64_t>();
  reader.Check(size <= slots, "the graph is too large");
  auto graph = reader.GetArray<NeighbourGraph::value_type>(reader.ok() ? size : 0);
  for (const auto& neighbours : graph) {
    for (const Neighbour& n : neighbours) {
      const bool is_one = n.text < slots && n.weight >= 0 && n.weight <= 1;
      if (!reader.Check(is_one, "a neighbour is none")) return {};
    }
  }
  reader.End();
  return graph;
}

// --- The whole

void CollectionIndex::Save(SnapshotWriter& writer) const {
  absl::ReaderMutexLock lock(&mutex_);
  if (fitted_ == nullptr) return;
  writer.Begin(SnapshotSection::kSlots);
  writer.Put(static_cast<uint64_t>(chunks_.size()));
  writer.Put(static_cast<uint64_t>(slots_of_.size()));
  for (Slot slot = 0; slot < chunks_.size();) {
    if (chunks_[slot].document == nullptr) {
      ++slot;
      continue;
    }
    const Document& document = *chunks_[slot].document;
    const auto count = static_cast<uint32_t>(document.chunks.size());
    writer.Put(SavedRange{document.seq, ContentOf(document), slot, count});
    slot += count;
  }
  writer.End();
  lexical_.Save(chunks_.size(), writer);
  if (fitted_->space != nullptr) fitted_->space->Save(writer);
  fitted_->vectors.Save(present_, writer);
  SaveGraph(fitted_->graph, writer);
  fitted_->expanded.Save(SnapshotSection::kExpanded, chunks_.size(), writer);
}

void CollectionIndex::Load(const SnapshotHead& head,
                           absl::FunctionRef<DocumentPtr(int64_t seq)> find,
                           SnapshotReader& reader) {
  absl::MutexLock lock(&mutex_);
  const SavedSlots saved = LoadSlots(find, reader);
  const bool has_size = head.dimensions > 0 && head.dimensions <= Int8Scan::kDimensionsMax;
  if (!reader.Check(has_size, "no vector has such a size")) return;
  lexical_.Load(saved, reader);
  std::unique_ptr<Fitted> fitted;
  if (head.embedder == kFittedEmbedder) {
    std::shared_ptr<const FittedSpace> space = FittedSpace::Load(head.dimensions, reader);
    if (space == nullptr) return;
    fitted = std::make_unique<Fitted>(std::move(space));
  } else {
    fitted =
        std::make_unique<Fitted>(OutsideSpace{head.embedder, head.embedder_key, head.dimensions});
  }
  fitted->vectors.Load(saved.slots, reader);
  fitted->graph = LoadGraph(saved.slots, reader);
  SavedSlots all;  // what was fitted stays in this leg until the next generation
  all.slots = saved.slots;
  for (Slot slot = 0; slot < saved.slots; ++slot) all.held.Add(slot);
  all.kept = all.held;
  fitted->expanded.Load(SnapshotSection::kExpanded, all, reader);
  reader.Finish();
  if (!reader.ok()) return;
  for (Slot slot = 0; slot < saved.slots; ++slot) {
    if (chunks_[slot].document == nullptr) continue;
    chunks_[slot].has_vector = fitted->space != nullptr || HasVector(fitted->vectors, slot);
    embedded_ += chunks_[slot].has_vector ? 1 : 0;
  }
  fitted->chunks = static_cast<size_t>(head.fitted_chunks);
  fitted->generation = head.generation;
  fitted_ = std::move(fitted);
  reader.Check(IsAnalyzedAlike(), "texts are analysed in another way now");
  if (saved.lost > 0) ++changes_;
}

SavedSlots CollectionIndex::LoadSlots(absl::FunctionRef<DocumentPtr(int64_t seq)> find,
                                      SnapshotReader& reader) {
  SavedSlots saved;
  reader.Begin(SnapshotSection::kSlots);
  saved.slots = reader.Get<uint64_t>();
  const auto ranges = reader.GetArray<SavedRange>(reader.Get<uint64_t>());
  reader.End();
  const bool is_possible = saved.slots <= reader.file_bytes() / kSlotBytesMin &&
                           saved.slots <= std::numeric_limits<Slot>::max();
  if (!reader.Check(is_possible, "too many slots")) return saved;
  chunks_.resize(saved.slots);
  uint64_t next = 0;
  for (const SavedRange& range : ranges) {
    const bool is_one = range.first >= next && range.first < saved.slots && range.count > 0 &&
                        range.count <= saved.slots - range.first && !slots_of_.contains(range.seq);
    if (!reader.Check(is_one, "a document's slots are none")) return saved;
    next = uint64_t{range.first} + range.count;
    const DocumentPtr document = find(range.seq);
    const bool is_kept = document != nullptr && document->chunks.size() == range.count &&
                         ContentOf(*document) == range.content;
    if (!is_kept) saved.lost += range.count;
    const MetadataFields metadata =
        is_kept ? FlattenMetadata(document->metadata) : MetadataFields();
    for (uint32_t i = 0; i < range.count; ++i) {
      saved.held.Add(range.first + i);
      if (is_kept) Place(range.first + i, {document, i, {}}, metadata);
    }
  }
  for (Slot slot = 0; slot < saved.slots; ++slot) {
    if (chunks_[slot].document == nullptr) removed_.push_back(slot);
  }
  saved.kept = present_;
  return saved;
}

bool CollectionIndex::IsAnalyzedAlike() const {
  const size_t stride = std::max<size_t>(1, chunks_.size() / kAnalyzedAgainMax);
  for (Slot slot = 0; slot < chunks_.size(); slot += stride) {
    const Chunk& chunk = chunks_[slot];
    if (chunk.document == nullptr) continue;
    const absl::string_view text = chunk.document->ChunkText(chunk.ordinal);
    if (!lexical_.Holds(slot, AnalyzeChunk(chunk.document->title, text))) return false;
  }
  return true;
}

}  // namespace aibackend::retrieval
