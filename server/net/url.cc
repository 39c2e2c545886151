#include "server/net/url.h"

#include "absl/strings/str_cat.h"

namespace aibackend::net {

std::string OriginOf(absl::string_view url) {
  const size_t scheme = url.find("://");
  const size_t start = scheme == absl::string_view::npos ? 0 : scheme + 3;
  absl::string_view host = url.substr(start);
  host = host.substr(0, host.find_first_of("/?#\\"));
  if (const size_t at = host.rfind('@'); at != absl::string_view::npos) host.remove_prefix(at + 1);
  return absl::StrCat(url.substr(0, start), host);
}

}  // namespace aibackend::net
