// The corpus' files as embed.cmake writes them into the program.
#pragma once

#include <cstddef>
#include <string_view>

namespace aibackend::tasks {

struct EmbeddedFile {
  std::string_view slug;     // the file's name without its number and ".md"
  std::string_view content;  // the file
};

extern const EmbeddedFile kEmbeddedFiles[];
extern const size_t kEmbeddedFileCount;

}  // namespace aibackend::tasks
