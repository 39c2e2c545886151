#include "server/rpc/client_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace aibackend::rpc {
namespace {

// Its bytes in network order, 4 or 16; empty for what is none. An IPv4 address in IPv6's clothes is
// IPv4.
std::string AddressBytes(const std::string& text) {
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return {reinterpret_cast<const char*>(&v4), sizeof v4};
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return {};
  const auto* bytes = reinterpret_cast<const char*>(&v6);
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return {bytes + 12, 4};
  return {bytes, sizeof v6};
}

std::string AddressText(const std::string& bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

bool IsLoopback(const std::string& bytes) {
  static const std::string kV6Loopback = std::string(15, '\0') + '\x01';
  return bytes.size() == 4 ? bytes[0] == 127 : bytes == kV6Loopback;
}

bool HasPrefix(const std::string& bytes, const std::string& prefix, int bits) {
  if (bytes.size() != prefix.size()) return false;
  const size_t whole = static_cast<size_t>(bits) / 8;
  if (bytes.compare(0, whole, prefix, 0, whole) != 0) return false;
  const int rest = bits % 8;
  if (rest == 0) return true;
  const int mask = 0xff << (8 - rest) & 0xff;
  return ((bytes[whole] ^ prefix[whole]) & mask) == 0;
}

// "ipv4:1.2.3.4:5", "ipv6:[::1]:5" (percent-encoded too) → the address's bytes.
std::string PeerBytes(absl::string_view peer) {
  const bool is_v6 = absl::ConsumePrefix(&peer, "ipv6:");
  if (!is_v6 && !absl::ConsumePrefix(&peer, "ipv4:")) return {};
  std::string text = absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  text.resize(std::min(text.rfind(':'), text.size()));
  if (is_v6 && text.size() > 2 && text.front() == '[') text = text.substr(1, text.size() - 2);
  text.resize(std::min(text.find('%'), text.size()));  // the zone
  return AddressBytes(text);
}

}  // namespace

absl::StatusOr<TrustedProxies::Prefix> TrustedProxies::ParsePrefix(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  Prefix prefix;
  prefix.bytes = AddressBytes(std::string(parts.first));
  prefix.bits = static_cast<int>(prefix.bytes.size()) * 8;
  const bool has_length = text.find('/') != absl::string_view::npos;
  int bits = prefix.bits;
  const bool fits =
      !has_length || (absl::SimpleAtoi(parts.second, &bits) && bits >= 0 && bits <= prefix.bits);
  if (prefix.bytes.empty() || !fits) {
    return absl::InvalidArgumentError(
        absl::StrCat("trusted-proxies: '", text, "' is no address and no prefix like 10.0.0.0/8"));
  }
  prefix.bits = bits;
  return prefix;
}

absl::StatusOr<TrustedProxies> TrustedProxies::Parse(const std::vector<std::string>& list) {
  TrustedProxies proxies;
  for (const std::string& text : list) {
    auto prefix = ParsePrefix(text);
    if (!prefix.ok()) return prefix.status();
    proxies.prefixes_.push_back(*std::move(prefix));
  }
  return proxies;
}

bool TrustedProxies::IsTrusted(const std::string& address) const {
  return IsLoopback(address) ||
         std::any_of(prefixes_.begin(), prefixes_.end(), [&](const Prefix& prefix) {
           return HasPrefix(address, prefix.bytes, prefix.bits);
         });
}

std::string TrustedProxies::ClientOf(absl::string_view peer,
                                     absl::string_view forwarded_for) const {
  std::string client = PeerBytes(peer);
  const bool is_local = client.empty();  // a unix socket, or inside the process
  if (!is_local && !IsTrusted(client)) return AddressText(client);
  while (!forwarded_for.empty()) {
    const size_t comma = forwarded_for.rfind(',');
    const absl::string_view last =
        comma == absl::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1);
    const std::string hop = AddressBytes(std::string(absl::StripAsciiWhitespace(last)));
    if (hop.empty()) break;  // a name or garbage: what stands before it is nobody's word
    client = hop;
    if (!IsTrusted(hop) || comma == absl::string_view::npos) break;
    forwarded_for = forwarded_for.substr(0, comma);
  }
  return client.empty() ? std::string() : AddressText(client);
}

}  // namespace aibackend::rpc
