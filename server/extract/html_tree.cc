#include "server/extract/html_tree.h"

#include <cstddef>
#include <cstdlib>

#include "server/extract/failure.h"

namespace aibackend::extract {
namespace {

// Reading the thread's processor time costs about as much as this many allocations.
constexpr size_t kAllocationsPerCheck = 64;

}  // namespace

struct alignas(std::max_align_t) HtmlTree::Block {
  Block* previous;
  Block* next;
  size_t bytes;
};

HtmlTree::HtmlTree(size_t memory_bytes_max, absl::Duration cpu_max)
    : memory_bytes_max_(memory_bytes_max), cpu_(cpu_max) {}

HtmlTree::~HtmlTree() {
  while (blocks_ != nullptr) {
    Block* next = blocks_->next;
    std::free(blocks_);
    blocks_ = next;
  }
}

void* HtmlTree::Allocate(void* self, size_t size) {
  auto& tree = *static_cast<HtmlTree*>(self);
  if (tree.allocations_++ % kAllocationsPerCheck == 0) tree.in_time_ = !tree.cpu_.IsSpent();
  const size_t bytes = sizeof(Block) + size;
  void* memory = nullptr;
  if (tree.in_time_ && bytes <= tree.memory_bytes_max_ - tree.memory_bytes_) {
    memory = std::malloc(bytes);
  }
  if (memory == nullptr) std::longjmp(tree.at_limit_, 1);  // NOLINT(cert-err52-cpp)
  tree.memory_bytes_ += bytes;
  auto* block = static_cast<Block*>(memory);
  *block = {nullptr, tree.blocks_, bytes};
  if (tree.blocks_ != nullptr) tree.blocks_->previous = block;
  tree.blocks_ = block;
  return block + 1;
}

void HtmlTree::Free(void* self, void* memory) {
  if (memory == nullptr) return;
  auto& tree = *static_cast<HtmlTree*>(self);
  Block* block = static_cast<Block*>(memory) - 1;
  tree.memory_bytes_ -= block->bytes;
  (block->previous != nullptr ? block->previous->next : tree.blocks_) = block->next;
  if (block->next != nullptr) block->next->previous = block->previous;
  std::free(block);
}

// Holds nothing that a jump over it would leave undone.
void HtmlTree::Run(absl::string_view html) {
  GumboOptions options = kGumboDefaultOptions;
  options.allocator = &HtmlTree::Allocate;
  options.deallocator = &HtmlTree::Free;
  options.userdata = this;
  options.max_errors = 0;
  if (setjmp(at_limit_) != 0) return;  // NOLINT(cert-err52-cpp)
  output_ = gumbo_parse_with_options(&options, html.data(), html.size());
}

absl::Status HtmlTree::Parse(absl::string_view html) {
  Run(html);
  if (output_ != nullptr) return absl::OkStatus();
  return in_time_ ? TooLarge("reading the HTML page takes too much memory")
                  : TooLarge("reading the HTML page takes too long");
}

}  // namespace aibackend::extract
