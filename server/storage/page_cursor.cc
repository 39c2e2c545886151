#include "server/storage/page_cursor.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/status.h"
#include "server/base/text.h"

namespace aibackend::storage {
namespace {

// A longer token is not one of ours: ids are at most 256 bytes.
constexpr size_t kTokenBytesMax = 512;

}  // namespace

std::string EncodePageToken(const PageCursor& cursor) {
  return absl::WebSafeBase64Escape(absl::StrCat(cursor.at_us, " ", cursor.id));
}

absl::StatusOr<PageCursor> DecodePageToken(const std::string& token) {
  std::string text;
  PageCursor cursor;
  size_t space = std::string::npos;
  if (token.size() <= kTokenBytesMax && absl::WebSafeBase64Unescape(token, &text)) {
    space = text.find(' ');
  }
  if (space == std::string::npos || space + 1 == text.size() || !IsValidUtf8(text) ||
      !absl::SimpleAtoi(absl::string_view(text).substr(0, space), &cursor.at_us)) {
    return MakeError(Reason::PAGE_TOKEN_INVALID,
                     "page_token must be the next_page_token of an earlier answer", "page_token");
  }
  cursor.id = text.substr(space + 1);
  return cursor;
}

}  // namespace aibackend::storage
