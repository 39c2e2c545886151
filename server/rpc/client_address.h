// Who is at the other end, as an address that limits can count by.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/net_address.h"

namespace aibackend::rpc {

// Peers that are believed when they say whom they speak for. Thread-safe.
class TrustedProxies {
 public:
  // Addresses or prefixes: 10.0.0.7, 10.0.0.0/8, fd00::/8; an empty text, as an empty setting
  // gives, is passed over. This machine (loopback, unix sockets) is always trusted. Fails on what
  // is neither.
  static absl::StatusOr<TrustedProxies> Parse(const std::vector<std::string>& list);

  // `peer` as gRPC names it ("ipv4:10.0.0.7:4711", "ipv6:%5B::1%5D:4711", "unix:…"),
  // `forwarded_for` as an x-forwarded-for header has it. The client is the last of the chain that
  // is not itself a trusted proxy; what a stranger claims is not looked at. Empty where it isn't
  // known. Of IPv6 it is the network, "2001:db8:0:1::/64": a client has all of one, and would else
  // have as many counts as addresses.
  std::string ClientOf(absl::string_view peer, absl::string_view forwarded_for) const;

 private:
  bool IsTrusted(const std::string& address) const;

  std::vector<IpPrefix> prefixes_;
};

}  // namespace aibackend::rpc
