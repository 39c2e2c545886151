#include "server/retrieval/int8_scan.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "server/retrieval/int8_codes.h"

namespace aibackend::retrieval {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint8_t kCodeOffset = 128;
constexpr size_t kSegmentBlocks = 16;
constexpr size_t kSegmentRows = kSegmentBlocks * kBlockRows;
// 16 u of int8_scan.h.
constexpr double kRoundingSlack = 0x1p-20;
// Rows of one query that wait to be scored in full. Usually a few hundred pass the first bounds;
// where rows hardly differ, all do.
constexpr size_t kPendingRowsMax = 4096;

static_assert(kBlockRows == RowSet::kWordRows, "a block's rows are filtered by one word");

struct alignas(64) CacheLine {
  uint8_t bytes[64];
};

size_t StepsOf(size_t dimensions) {
  return (dimensions + kStepDimensions - 1) / kStepDimensions;
}

}  // namespace

struct Int8Scan::Segment {
  std::vector<CacheLine> codes;
  float scales[kSegmentRows] = {};
  float norms[kSegmentRows] = {};
  float errors[kSegmentRows];

  // No row yet: every bound is NaN, which reaches nothing.
  explicit Segment(size_t steps) : codes(steps * kSegmentRows * kStepDimensions / 64) {
    for (CacheLine& line : codes) std::fill_n(line.bytes, sizeof(line.bytes), kCodeOffset);
    std::fill_n(errors, kSegmentRows, std::numeric_limits<float>::quiet_NaN());
  }
};

// One query on its way over the blocks.
class Int8Scan::QueryScan {
 public:
  QueryScan(const VectorQuery& query, size_t dimensions);

  // Otherwise the query has no bounds (CodeKind) and every row is scored.
  bool IsBounded() const { return coded_.kind == CodeKind::kCoded && coded_.scale > 0; }
  bool IsFinite() const { return coded_.kind != CodeKind::kNotFinite; }
  const CodedQuery& view() const { return view_; }
  // The rows of a block that may be in the answer at all.
  uint64_t Allowed(size_t block) const {
    return query_.allowed == nullptr ? ~uint64_t{0} : query_.allowed->Word(block);
  }
  float threshold() const { return threshold_; }
  float* uppers() const { return query_.uppers; }

  // A row with its bounds: kept if it may be among the best k of those seen.
  void Consider(uint32_t row, float lower, float upper, const float* vectors);
  // Scores the rows that wait, the most promising first.
  void ScorePending(const float* vectors);
  TopRows Take() { return {best_.Take(), rescored_}; }

 private:
  struct Pending {
    uint32_t row = 0;
    float upper = 0;
  };

  VectorQuery query_;
  size_t dimensions_;
  std::vector<int8_t> codes_;
  std::vector<int16_t> wide_codes_;
  Int8Codes coded_;
  CodedQuery view_;

  // What a row's upper bound must reach: the k-th of the lower bounds seen or of the scores.
  float threshold_ = -kInfinity;
  std::vector<float> lowers_;  // the k greatest; the least on top
  std::vector<Pending> pending_;
  BestRows best_;
  size_t rescored_ = 0;
};

Int8Scan::QueryScan::QueryScan(const VectorQuery& query, size_t dimensions)
    : query_(query),
      dimensions_(dimensions),
      codes_(StepsOf(dimensions) * kStepDimensions),
      coded_(EncodeInt8(query.vector, dimensions, codes_.data())),
      best_(query.k) {
  wide_codes_.assign(codes_.begin(), codes_.end());
  for (const int8_t code : codes_) view_.offset += kCodeOffset * code;
  view_.codes = codes_.data();
  view_.wide_codes = wide_codes_.data();
  view_.scale = coded_.scale;
  view_.norm_factor = static_cast<float>(
      (coded_.error + kRoundingSlack * (coded_.norm + coded_.coded_norm)) * (1 + kRoundingSlack));
  view_.error_factor = static_cast<float>(coded_.norm * (1 + kRoundingSlack));
}

void Int8Scan::QueryScan::Consider(uint32_t row, float lower, float upper, const float* vectors) {
  if (upper < threshold_) return;
  if (lowers_.size() < query_.k || lower > lowers_.front()) {
    if (lowers_.size() == query_.k) {
      std::pop_heap(lowers_.begin(), lowers_.end(), std::greater<>());
      lowers_.pop_back();
    }
    lowers_.push_back(lower);
    std::push_heap(lowers_.begin(), lowers_.end(), std::greater<>());
    if (lowers_.size() == query_.k) threshold_ = std::max(threshold_, lowers_.front());
  }
  pending_.push_back({row, upper});
  if (pending_.size() == kPendingRowsMax) ScorePending(vectors);
}

void Int8Scan::QueryScan::ScorePending(const float* vectors) {
  // The threshold has risen since most of them came.
  pending_.erase(std::remove_if(pending_.begin(), pending_.end(),
                                [&](const Pending& each) { return each.upper < threshold_; }),
                 pending_.end());
  std::sort(pending_.begin(), pending_.end(), [](const Pending& a, const Pending& b) {
    return a.upper != b.upper ? a.upper > b.upper : a.row < b.row;
  });
  for (const Pending& pending : pending_) {
    if (pending.upper < threshold_) break;
    const float* vector = vectors + pending.row * dimensions_;
    best_.Offer({pending.row, ScoreOf(query_.vector, vector, dimensions_)});
    ++rescored_;
    threshold_ = std::max(threshold_, best_.Floor());
  }
  pending_.clear();
}

Int8Scan::Int8Scan(size_t dimensions, ScanPath path)
    : dimensions_(dimensions), steps_(StepsOf(dimensions)), kernels_(KernelsOf(path)) {
  assert(dimensions <= kDimensionsMax);
  assert(kernels_ != nullptr);
}

Int8Scan::~Int8Scan() = default;

CodedBlock Int8Scan::BlockAt(size_t block) const {
  const Segment& segment = *segments_[block / kSegmentBlocks];
  const size_t first = block % kSegmentBlocks * kBlockRows;
  return {segment.codes.data()->bytes + first * steps_ * kStepDimensions, segment.scales + first,
          segment.norms + first, segment.errors + first};
}

void Int8Scan::Add(const float* vector) {
  if (size_ == segments_.size() * kSegmentRows) {
    segments_.push_back(std::make_unique<Segment>(steps_));
  }
  std::vector<int8_t> codes(dimensions_);
  const Int8Codes coded = EncodeInt8(vector, dimensions_, codes.data());
  Segment& segment = *segments_.back();
  const size_t row = size_ % kSegmentRows;
  segment.scales[row] = coded.scale;
  segment.norms[row] = static_cast<float>(coded.coded_norm);
  switch (coded.kind) {
    case CodeKind::kCoded:
      segment.errors[row] = static_cast<float>(coded.error);
      break;
    case CodeKind::kUnbounded:
      segment.errors[row] = kInfinity;
      break;
    case CodeKind::kNotFinite:
      break;  // stays NaN
  }
  uint8_t* block =
      segment.codes.data()->bytes + row / kBlockRows * kBlockRows * steps_ * kStepDimensions;
  for (size_t i = 0; i < dimensions_; ++i) {
    const size_t step = i / kStepDimensions;
    block[(step * kBlockRows + row % kBlockRows) * kStepDimensions + i % kStepDimensions] =
        static_cast<uint8_t>(codes[i] + kCodeOffset);
  }
  ++size_;
}

void Int8Scan::Search(const float* vectors, const VectorQuery* queries, size_t count,
                      TopRows* results) const {
  for (size_t first = 0; first < count; first += kBatchQueriesMax) {
    SearchBatch(vectors, queries + first, std::min(kBatchQueriesMax, count - first),
                results + first);
  }
}

void Int8Scan::SearchBatch(const float* vectors, const VectorQuery* queries, size_t count,
                           TopRows* results) const {
  std::vector<std::unique_ptr<QueryScan>> scans(count);
  for (size_t i = 0; i < count; ++i) {
    results[i] = TopRows();
    if (queries[i].k == 0) continue;
    auto scan = std::make_unique<QueryScan>(queries[i], dimensions_);
    if (scan->IsBounded()) {
      scans[i] = std::move(scan);
    } else if (scan->IsFinite()) {
      results[i] = ScoreEveryRow(vectors, queries[i]);
    } else if (queries[i].uppers != nullptr) {
      FillWithNan(queries[i].uppers);
    }
  }
  // A block stays in the cache while the queries pass over it, a few at a time.
  const size_t blocks = (size_ + kBlockRows - 1) / kBlockRows;
  for (size_t block = 0; block < blocks; ++block) {
    std::array<QueryScan*, kKernelQueriesMax> group{};
    size_t grouped = 0;
    for (const auto& scan : scans) {
      if (scan == nullptr || scan->Allowed(block) == 0) continue;
      group[grouped++] = scan.get();
      if (grouped < group.size()) continue;
      ScanBlock(block, group.data(), grouped, vectors);
      grouped = 0;
    }
    if (grouped > 0) ScanBlock(block, group.data(), grouped, vectors);
  }
  for (size_t i = 0; i < count; ++i) {
    if (scans[i] == nullptr) continue;
    scans[i]->ScorePending(vectors);
    results[i] = scans[i]->Take();
  }
}

void Int8Scan::ScanBlock(size_t block, QueryScan* const* scans, size_t count,
                         const float* vectors) const {
  const CodedBlock rows = BlockAt(block);
  const CodedQuery* queries[kKernelQueriesMax] = {};
  for (size_t i = 0; i < count; ++i) queries[i] = &scans[i]->view();
  alignas(64) int32_t dots[kKernelQueriesMax][kBlockRows];
  kernels_->dots(rows.codes, steps_, queries, count, dots);
  for (size_t i = 0; i < count; ++i) {
    const CodedQuery& query = *queries[i];
    if (scans[i]->uppers() != nullptr) {
      WriteUppers(rows, query, dots[i], scans[i]->uppers() + block * kBlockRows);
    }
    uint64_t reaching = kernels_->reaching(rows, query, dots[i], scans[i]->threshold());
    reaching &= scans[i]->Allowed(block);
    for (; reaching != 0; reaching &= reaching - 1) {
      const auto row = static_cast<size_t>(__builtin_ctzll(reaching));
      const float estimate = rows.scales[row] * (query.scale * static_cast<float>(dots[i][row]));
      const float width =
          query.norm_factor * rows.norms[row] + query.error_factor * rows.errors[row];
      scans[i]->Consider(static_cast<uint32_t>(block * kBlockRows + row), estimate - width,
                         estimate + width, vectors);
    }
  }
}

void Int8Scan::FillWithNan(float* uppers) const {
  const size_t blocks = (size_ + kBlockRows - 1) / kBlockRows;
  std::fill_n(uppers, blocks * kBlockRows, std::numeric_limits<float>::quiet_NaN());
}

void Int8Scan::WriteUppers(const CodedBlock& rows, const CodedQuery& query, const int32_t* dots,
                           float* __restrict uppers) {
  for (size_t row = 0; row < kBlockRows; ++row) {
    const float estimate = rows.scales[row] * (query.scale * static_cast<float>(dots[row]));
    const float width = query.norm_factor * rows.norms[row] + query.error_factor * rows.errors[row];
    uppers[row] = estimate + width;
  }
}

TopRows Int8Scan::ScoreEveryRow(const float* vectors, const VectorQuery& query) const {
  BestRows best(query.k);
  TopRows found;
  if (query.uppers != nullptr) FillWithNan(query.uppers);
  for (size_t row = 0; row < size_; ++row) {
    if (query.allowed != nullptr && !query.allowed->Contains(row)) continue;
    if (std::isnan(segments_[row / kSegmentRows]->errors[row % kSegmentRows])) continue;
    const float score = ScoreOf(query.vector, vectors + row * dimensions_, dimensions_);
    if (query.uppers != nullptr) query.uppers[row] = score;
    best.Offer({static_cast<uint32_t>(row), score});
    ++found.rescored;
  }
  found.rows = best.Take();
  return found;
}

}  // namespace aibackend::retrieval
