// Network addresses, as settings, peers and proxies write them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend {

// An IP address's bytes in network order, 4 or 16; empty for a text that is none. An IPv4 address
// in IPv6's clothes is IPv4.
std::string IpBytes(absl::string_view text);
// `bytes` as IpBytes gives them.
std::string IpText(const std::string& bytes);
bool IsLoopbackIp(const std::string& bytes);

// Addresses that begin alike.
struct IpPrefix {
  std::string bytes;  // 4 or 16
  int bits = 0;

  bool Has(const std::string& address) const;
};

// An address or a prefix: 10.0.0.7, 10.0.0.0/8, fd00::/8. Absent for what is neither.
absl::optional<IpPrefix> ParseIpPrefix(absl::string_view text);

struct HostPort {
  std::string host;  // not empty; an IPv6 address without its brackets
  int port = 0;      // 0 to 65535
};

// "host:port"; an IPv6 host stands in brackets. Absent for what is not of that form.
absl::optional<HostPort> ParseHostPort(absl::string_view text);

// "localhost" or a loopback address. A name that only begins like one (127.example.com) is not.
bool IsLoopbackHost(absl::string_view host);

}  // namespace aibackend
