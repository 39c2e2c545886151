// A set of rows as a bitmap: which rows a search may answer with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace aibackend::retrieval {

// Grows as rows are added: a row beyond the last that was added is not in the set. One bit a row.
// Not thread-safe; const methods may run side by side.
class RowSet {
 public:
  static constexpr size_t kWordRows = 64;

  void Add(size_t row) {
    if (row / kWordRows >= words_.size()) words_.resize(row / kWordRows + 1);
    words_[row / kWordRows] |= uint64_t{1} << (row % kWordRows);
  }
  void Remove(size_t row) {
    if (row / kWordRows < words_.size()) {
      words_[row / kWordRows] &= ~(uint64_t{1} << (row % kWordRows));
    }
  }
  void AddRange(size_t first, size_t count) {
    if (count == 0) return;
    const size_t end = first + count;
    if ((end - 1) / kWordRows >= words_.size()) words_.resize((end - 1) / kWordRows + 1);
    for (size_t row = first; row < end;) {
      const size_t bit = row % kWordRows;
      const size_t length = std::min(kWordRows - bit, end - row);
      words_[row / kWordRows] |= (~uint64_t{0} >> (kWordRows - length)) << bit;
      row += length;
    }
  }

  // Keeps what `other` has; or what it hasn't.
  void And(const RowSet& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.Word(i);
  }
  void AndNot(const RowSet& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= ~other.Word(i);
  }

  bool empty() const {
    return std::all_of(words_.begin(), words_.end(), [](uint64_t word) { return word == 0; });
  }
  bool Contains(size_t row) const { return (Word(row / kWordRows) >> (row % kWordRows) & 1) != 0; }

  // Rows 64 * index to 64 * index + 63; the lowest bit is the first row.
  uint64_t Word(size_t index) const { return index < words_.size() ? words_[index] : 0; }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace aibackend::retrieval
