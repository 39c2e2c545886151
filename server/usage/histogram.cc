#include "server/usage/histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace aibackend::usage {
namespace {

constexpr double kGamma = (1 + Histogram::kRelativeError) / (1 - Histogram::kRelativeError);
constexpr int kVarintBytesMax = 10;  // of 64 bits, seven a byte

uint32_t BucketOf(int64_t value_ms) {
  static const double kLogGamma = std::log(kGamma);
  if (value_ms <= 0) return 0;
  const auto value = static_cast<double>(std::min(value_ms, Histogram::kValueMsMax));
  return 1 + static_cast<uint32_t>(std::ceil(std::log(value) / kLogGamma));
}

double ValueOf(uint32_t bucket) {
  if (bucket == 0) return 0;
  return 2 * std::pow(kGamma, static_cast<double>(bucket) - 1) / (kGamma + 1);
}

uint64_t AddCounts(uint64_t a, uint64_t b) {
  return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max()
                                                      : a + b;
}

void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// False where there is no whole varint that fits; `blob` then stands anywhere.
bool TakeVarint(absl::string_view& blob, uint64_t& value) {
  value = 0;
  for (int i = 0; i < kVarintBytesMax && !blob.empty(); ++i) {
    const auto byte = static_cast<uint8_t>(blob.front());
    blob.remove_prefix(1);
    if (i == kVarintBytesMax - 1 && byte > 1) return false;
    value |= uint64_t{byte & 0x7Fu} << (7 * i);
    if (byte < 0x80) return true;
  }
  return false;
}

// Calls `add` with number and count of each bucket up to the first mistake.
template <class Add>
void EachBucket(absl::string_view blob, const Add& add) {
  uint64_t number = 0;
  for (bool is_first = true; !blob.empty(); is_first = false) {
    uint64_t distance = 0;
    uint64_t count = 0;
    if (!TakeVarint(blob, distance) || !TakeVarint(blob, count)) return;
    if ((distance == 0 && !is_first) || distance >= Histogram::kBuckets || count == 0) return;
    number += distance;
    if (number >= Histogram::kBuckets) return;
    add(static_cast<uint32_t>(number), count);
  }
}

}  // namespace

void Histogram::Add(int64_t value_ms) {
  const uint32_t number = BucketOf(value_ms);
  const auto at =
      std::lower_bound(buckets_.begin(), buckets_.end(), number,
                       [](const Bucket& bucket, uint32_t n) { return bucket.number < n; });
  if (at != buckets_.end() && at->number == number) {
    at->count = AddCounts(at->count, 1);
  } else {
    buckets_.insert(at, {number, 1});
  }
}

// Adds buckets that come in order to those of a histogram. Most have a bucket there already, and
// are counted in place; the others are gathered.
class Histogram::Adder {
 public:
  explicit Adder(std::vector<Bucket>& buckets) : buckets_(buckets), at_(buckets.begin()) {}

  void Add(const Bucket& other) {
    while (at_ != buckets_.end() && at_->number < other.number) ++at_;
    if (at_ != buckets_.end() && at_->number == other.number) {
      at_->count = AddCounts(at_->count, other.count);
    } else {
      fresh_.push_back(other);
    }
  }

  // Once, when all are added.
  void Finish() {
    if (fresh_.empty()) return;
    const auto middle = static_cast<ptrdiff_t>(buckets_.size());
    buckets_.insert(buckets_.end(), fresh_.begin(), fresh_.end());
    std::inplace_merge(buckets_.begin(), buckets_.begin() + middle, buckets_.end(),
                       [](const Bucket& a, const Bucket& b) { return a.number < b.number; });
  }

 private:
  std::vector<Bucket>& buckets_;
  std::vector<Bucket>::iterator at_;
  std::vector<Bucket> fresh_;
};

void Histogram::Merge(const Histogram& other) {
  if (&other == this) return Merge(Histogram(other));
  Adder adder(buckets_);
  for (const Bucket& bucket : other.buckets_) adder.Add(bucket);
  adder.Finish();
}

void Histogram::MergeEncoded(absl::string_view blob) {
  Adder adder(buckets_);
  EachBucket(blob, [&](uint32_t number, uint64_t count) { adder.Add({number, count}); });
  adder.Finish();
}

std::string Histogram::Encode() const {
  std::string blob;
  uint32_t before = 0;
  for (const Bucket& bucket : buckets_) {
    AppendVarint(blob, bucket.number - before);
    AppendVarint(blob, bucket.count);
    before = bucket.number;
  }
  return blob;
}

double Histogram::Quantile(double q) const {
  const uint64_t all = count();
  if (all == 0) return 0;
  const auto rank = static_cast<uint64_t>(std::clamp(q, 0.0, 1.0) * static_cast<double>(all - 1));
  uint64_t below = 0;
  for (const Bucket& bucket : buckets_) {
    below = AddCounts(below, bucket.count);
    if (below > rank) return ValueOf(bucket.number);
  }
  return ValueOf(buckets_.back().number);
}

uint64_t Histogram::count() const {
  uint64_t all = 0;
  for (const Bucket& bucket : buckets_) all = AddCounts(all, bucket.count);
  return all;
}

void HistogramSum::Add(absl::string_view blob) {
  if (blob.empty()) return;
  AppendVarint(gathered_, blob.size());
  gathered_.append(blob.data(), blob.size());
  if (gathered_.size() > kGatheredBytesMax) Fold();
}

const Histogram& HistogramSum::Get() {
  if (!gathered_.empty()) Fold();
  gathered_.shrink_to_fit();
  return sum_;
}

void HistogramSum::Fold() {
  std::array<uint64_t, Histogram::kBuckets> counts = {};
  for (const Histogram::Bucket& bucket : sum_.buckets_) counts[bucket.number] = bucket.count;
  absl::string_view rest = gathered_;
  for (uint64_t size = 0; TakeVarint(rest, size); rest.remove_prefix(size)) {
    EachBucket(rest.substr(0, size), [&](uint32_t number, uint64_t count) {
      counts[number] = AddCounts(counts[number], count);
    });
  }
  gathered_.clear();
  sum_.buckets_.clear();
  for (uint32_t number = 0; number < counts.size(); ++number) {
    if (counts[number] > 0) sum_.buckets_.push_back({number, counts[number]});
  }
}

}  // namespace aibackend::usage
