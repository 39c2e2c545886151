#include "server/usage/content_policy.h"

#include <openssl/sha.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace aibackend::usage {
namespace {

std::string Hashed(absl::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return absl::StrCat("sha256:", absl::BytesToHexString(absl::string_view(
                                     reinterpret_cast<const char*>(digest.data()), digest.size())));
}

}  // namespace

std::string KeptContent(ContentPolicy policy, absl::string_view text, size_t bytes_max) {
  if (text.empty()) return {};
  switch (policy) {
    case ContentPolicy::kOff:
      return {};
    case ContentPolicy::kHashed:
      return Hashed(text);
    case ContentPolicy::kOn:
      break;
  }
  return std::string(Utf8Prefix(text, bytes_max));
}

}  // namespace aibackend::usage
