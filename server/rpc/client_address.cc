#include "server/rpc/client_address.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace aibackend::rpc {
namespace {

constexpr size_t kV6NetworkBytes = 8;  // a /64, the least that a network is given (RFC 6177)

// "ipv4:1.2.3.4:5", "ipv6:[::1]:5" (percent-encoded too) → the address's bytes.
std::string PeerBytes(absl::string_view peer) {
  const bool is_v6 = absl::ConsumePrefix(&peer, "ipv6:");
  if (!is_v6 && !absl::ConsumePrefix(&peer, "ipv4:")) return {};
  std::string text = absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  text.resize(std::min(text.rfind(':'), text.size()));
  if (is_v6 && text.size() > 2 && text.front() == '[') text = text.substr(1, text.size() - 2);
  text.resize(std::min(text.find('%'), text.size()));  // the zone
  return IpBytes(text);
}

// An address as proxies write it: bare, or as some do "1.2.3.4:5", "[::1]:5", "[::1]".
std::string HopBytes(absl::string_view hop) {
  hop = absl::StripAsciiWhitespace(hop);
  std::string bytes = IpBytes(hop);
  if (!bytes.empty()) return bytes;
  if (const auto parts = ParseHostPort(hop)) return IpBytes(parts->host);
  const bool is_bracketed = absl::ConsumePrefix(&hop, "[") && absl::ConsumeSuffix(&hop, "]");
  return is_bracketed ? IpBytes(hop) : std::string();
}

std::string ClientText(std::string bytes) {
  if (bytes.empty()) return {};
  if (bytes.size() == 4 || IsLoopbackIp(bytes)) return IpText(bytes);
  std::fill(bytes.begin() + kV6NetworkBytes, bytes.end(), '\0');
  return absl::StrCat(IpText(bytes), "/", kV6NetworkBytes * 8);
}

}  // namespace

absl::StatusOr<TrustedProxies> TrustedProxies::Parse(const std::vector<std::string>& list) {
  TrustedProxies proxies;
  for (const std::string& text : list) {
    if (text.empty()) continue;
    auto prefix = ParseIpPrefix(text);
    if (!prefix) {
      return absl::InvalidArgumentError(absl::StrCat(
          "trusted-proxies: '", text, "' is no address and no prefix like 10.0.0.0/8"));
    }
    proxies.prefixes_.push_back(*std::move(prefix));
  }
  return proxies;
}

bool TrustedProxies::IsTrusted(const std::string& address) const {
  return IsLoopbackIp(address) ||
         std::any_of(prefixes_.begin(), prefixes_.end(),
                     [&](const IpPrefix& prefix) { return prefix.Has(address); });
}

std::string TrustedProxies::ClientOf(absl::string_view peer,
                                     absl::string_view forwarded_for) const {
  std::string client = PeerBytes(peer);
  const bool is_local = client.empty();  // a unix socket, or inside the process
  if (!is_local && !IsTrusted(client)) return ClientText(std::move(client));
  while (!forwarded_for.empty()) {
    const size_t comma = forwarded_for.rfind(',');
    const absl::string_view last =
        comma == absl::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1);
    const std::string hop = HopBytes(last);
    if (hop.empty()) break;  // a name or garbage: what stands before it is nobody's word
    client = hop;
    if (!IsTrusted(hop) || comma == absl::string_view::npos) break;
    forwarded_for = forwarded_for.substr(0, comma);
  }
  return ClientText(std::move(client));
}

}  // namespace aibackend::rpc
