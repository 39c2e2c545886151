// An HTML page's tree, parsed by gumbo within limits.
#pragma once

#include <gumbo.h>

#include <csetjmp>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/extract/cpu_budget.h"
#include "server/extract/extract.h"

namespace aibackend::extract {

// Owns the tree. Used by the thread that made it.
//
// Gumbo has no limits of its own: its work grows as the square of the depth, clones of unclosed
// elements multiply, and freeing a tree recurses. But it takes an allocator, and allocates for each
// token that it reads. This one counts bytes and processor time, leaves the parser by longjmp at a
// limit (its frames are C and own nothing but this memory), and frees the tree as one list.
class HtmlTree {
 public:
  HtmlTree(size_t memory_bytes_max, absl::Duration cpu_max);
  ~HtmlTree();
  HtmlTree(const HtmlTree&) = delete;
  HtmlTree& operator=(const HtmlTree&) = delete;

  // Call once. `html` must outlive the tree. Fails with REQUEST_TOO_LARGE.
  absl::Status Parse(absl::string_view html);

  // Of a Parse() that went well.
  [[nodiscard]] const GumboNode* document() const { return output_->document; }

 private:
  struct Block;  // stands before each piece of memory

  static void* Allocate(void* self, size_t size);
  static void Free(void* self, void* memory);
  void Run(absl::string_view html);

  const size_t memory_bytes_max_;
  const CpuBudget cpu_;
  size_t memory_bytes_ = 0;
  size_t allocations_ = 0;
  bool in_time_ = true;
  Block* blocks_ = nullptr;
  std::jmp_buf at_limit_;
  const GumboOutput* output_ = nullptr;
};

}  // namespace aibackend::extract
