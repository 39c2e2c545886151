#include "server/base/net_address.h"

#include <arpa/inet.h>

#include "absl/strings/numbers.h"

namespace aibackend {
namespace {

constexpr int kPortMax = 65535;

}  // namespace

std::string IpBytes(absl::string_view text) {
  const std::string terminated(text);
  in_addr v4{};
  if (inet_pton(AF_INET, terminated.c_str(), &v4) == 1) {
    return {reinterpret_cast<const char*>(&v4), sizeof v4};
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, terminated.c_str(), &v6) != 1) return {};
  const auto* bytes = reinterpret_cast<const char*>(&v6);
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return {bytes + 12, 4};
  return {bytes, sizeof v6};
}

std::string IpText(const std::string& bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

bool IsLoopbackIp(const std::string& bytes) {
  static const std::string kV6Loopback = std::string(15, '\0') + '\x01';
  return bytes.size() == 4 ? bytes[0] == 127 : bytes == kV6Loopback;
}

bool IpPrefix::Has(const std::string& address) const {
  if (address.size() != bytes.size()) return false;
  const size_t whole = static_cast<size_t>(bits) / 8;
  if (address.compare(0, whole, bytes, 0, whole) != 0) return false;
  const int rest = bits % 8;
  if (rest == 0) return true;
  const int mask = 0xff << (8 - rest) & 0xff;
  return ((address[whole] ^ bytes[whole]) & mask) == 0;
}

absl::optional<IpPrefix> ParseIpPrefix(absl::string_view text) {
  const size_t slash = text.find('/');
  IpPrefix prefix;
  prefix.bytes = IpBytes(text.substr(0, slash));
  if (prefix.bytes.empty()) return absl::nullopt;
  const int bits_max = static_cast<int>(prefix.bytes.size()) * 8;
  prefix.bits = bits_max;
  if (slash == absl::string_view::npos) return prefix;
  const bool fits = absl::SimpleAtoi(text.substr(slash + 1), &prefix.bits) && prefix.bits >= 0 &&
                    prefix.bits <= bits_max;
  if (!fits) return absl::nullopt;
  return prefix;
}

absl::optional<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return absl::nullopt;
  absl::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  HostPort parts{std::string(host), 0};
  const bool is_port = absl::SimpleAtoi(text.substr(colon + 1), &parts.port) && parts.port >= 0 &&
                       parts.port <= kPortMax;
  if (!is_port) return absl::nullopt;
  return parts;
}

bool IsLoopbackHost(absl::string_view host) {
  return host == "localhost" || IsLoopbackIp(IpBytes(host));
}

}  // namespace aibackend
