// The documents of one file, counted against its limits.
#pragma once

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/extract/extract.h"
#include "server/extract/failure.h"

namespace aibackend::extract {

class DocumentList {
 public:
  explicit DocumentList(const ExtractLimits& limits) : limits_(limits) {}

  // Fails with REQUEST_TOO_LARGE.
  absl::Status Add(ExtractedDocument document) {
    if (documents_.size() == limits_.documents_max) {
      return TooLarge(
          absl::StrCat("the file holds more than ", limits_.documents_max, " documents; split it"));
    }
    bytes_ += document.id.size() + document.title.size() + document.text.size() +
              document.source.size() + document.metadata.size();
    if (document.text.size() > limits_.text_bytes_max || bytes_ > limits_.total_bytes_max) {
      return TooLarge("the file holds too much text");
    }
    documents_.push_back(std::move(document));
    return absl::OkStatus();
  }

  std::vector<ExtractedDocument> Take() { return std::move(documents_); }

 private:
  const ExtractLimits& limits_;
  std::vector<ExtractedDocument> documents_;
  size_t bytes_ = 0;
};

}  // namespace aibackend::extract
