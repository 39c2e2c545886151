// A set of rows as a bitmap: which rows a search may answer with.
#pragma once

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
  bool Contains(size_t row) const { return (Word(row / kWordRows) >> (row % kWordRows) & 1) != 0; }

  // Rows 64 * index to 64 * index + 63; the lowest bit is the first row.
  uint64_t Word(size_t index) const { return index < words_.size() ? words_[index] : 0; }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace aibackend::retrieval
