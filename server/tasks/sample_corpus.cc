#include "server/tasks/sample_corpus.h"

#include <string_view>

#include "server/tasks/sample_corpus/files.h"

namespace aibackend::tasks {
namespace {

// Splits "# Title\n\nText…\n".
SampleDocument Parse(const EmbeddedFile& file) {
  constexpr std::string_view kHeading = "# ";
  std::string_view content = file.content;
  const size_t line_end = content.find('\n');
  std::string_view title = content.substr(0, line_end);
  if (title.substr(0, kHeading.size()) == kHeading) title.remove_prefix(kHeading.size());
  std::string_view text =
      line_end == std::string_view::npos ? std::string_view() : content.substr(line_end);
  while (!text.empty() && text.front() == '\n') text.remove_prefix(1);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return {"sample-" + std::string(file.slug), std::string(title), std::string(text)};
}

}  // namespace

std::vector<SampleDocument> SampleCorpus() {
  std::vector<SampleDocument> documents;
  documents.reserve(kEmbeddedFileCount);
  for (size_t i = 0; i < kEmbeddedFileCount; ++i) documents.push_back(Parse(kEmbeddedFiles[i]));
  return documents;
}

}  // namespace aibackend::tasks
