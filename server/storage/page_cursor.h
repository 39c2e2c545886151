// Where a list that is ordered by (time, id), newest first, goes on: what a page token holds.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace aibackend::storage {

// The last row of a page; the next page begins after it.
struct PageCursor {
  int64_t at_us = 0;
  std::string id;
};

// An opaque, URL-safe token.
std::string EncodePageToken(const PageCursor& cursor);

// Fails with PAGE_TOKEN_INVALID (field "page_token") for anything EncodePageToken didn't make.
absl::StatusOr<PageCursor> DecodePageToken(const std::string& token);

}  // namespace aibackend::storage
