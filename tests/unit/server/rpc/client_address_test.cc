#include "server/rpc/client_address.h"

#include "gtest/gtest.h"

namespace aibackend::rpc {
namespace {

TrustedProxies Trusting(const std::vector<std::string>& list) {
  auto proxies = TrustedProxies::Parse(list);
  EXPECT_TRUE(proxies.ok()) << proxies.status();
  return *std::move(proxies);
}

TEST(ClientAddress, AStrangersWordIsNotLookedAt) {
  const TrustedProxies proxies = Trusting({});
  EXPECT_EQ(proxies.ClientOf("ipv4:203.0.113.9:4711", "10.0.0.1"), "203.0.113.9");
  EXPECT_EQ(proxies.ClientOf("ipv6:%5B2001:db8::1%5D:4711", "10.0.0.1"), "2001:db8::/64");
  EXPECT_EQ(proxies.ClientOf("ipv6:[2001:db8::1]:4711", ""), "2001:db8::/64");
}

TEST(ClientAddress, AGatewayOnThisMachineIsBelieved) {
  const TrustedProxies proxies = Trusting({});
  for (const char* peer :
       {"ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711", "unix:/run/x.sock", "unix:"}) {
    EXPECT_EQ(proxies.ClientOf(peer, "203.0.113.9"), "203.0.113.9") << peer;
    EXPECT_EQ(proxies.ClientOf(peer, "198.51.100.1, 203.0.113.9"), "203.0.113.9") << peer;
    EXPECT_EQ(proxies.ClientOf(peer, " 203.0.113.9 , 127.0.0.1"), "203.0.113.9") << peer;
  }
  EXPECT_EQ(proxies.ClientOf("ipv4:127.0.0.1:4711", ""), "127.0.0.1");
  EXPECT_EQ(proxies.ClientOf("unix:", ""), "");
}

TEST(ClientAddress, TheChainIsFollowedAsFarAsItIsTrusted) {
  const TrustedProxies proxies = Trusting({"10.0.0.0/8", "192.0.2.7", "fd00::/8"});
  EXPECT_EQ(proxies.ClientOf("ipv4:10.1.2.3:1", "203.0.113.9, 192.0.2.7"), "203.0.113.9");
  EXPECT_EQ(proxies.ClientOf("ipv4:10.1.2.3:1", "6.6.6.6, 203.0.113.9, 10.9.9.9"), "203.0.113.9");
  EXPECT_EQ(proxies.ClientOf("ipv4:11.1.2.3:1", "203.0.113.9"), "11.1.2.3");
  EXPECT_EQ(proxies.ClientOf("ipv6:[fd12::1]:1", "203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(proxies.ClientOf("ipv4:10.1.2.3:1", "10.0.0.2, 10.0.0.3"), "10.0.0.2");
  // IPv4 in IPv6's clothes is IPv4: or one client had two counts.
  EXPECT_EQ(proxies.ClientOf("ipv6:[::ffff:10.1.2.3]:1", "::ffff:203.0.113.9"), "203.0.113.9");
}

TEST(ClientAddress, AHopMayHaveAPort) {
  const TrustedProxies proxies = Trusting({"10.0.0.0/8"});
  const auto client_of = [&](const char* chain) {
    return proxies.ClientOf("ipv4:127.0.0.1:1", chain);
  };
  EXPECT_EQ(client_of("203.0.113.9:5678"), "203.0.113.9");
  EXPECT_EQ(client_of("6.6.6.6, 203.0.113.9:5678, 10.1.2.3:443"), "203.0.113.9");
  EXPECT_EQ(client_of("[2001:db8::1]:443"), "2001:db8::/64");
  EXPECT_EQ(client_of("[2001:db8::1]"), "2001:db8::/64");
  EXPECT_EQ(client_of("2001:db8::1"), "2001:db8::/64");
  for (const char* garbage : {"host:80", "203.0.113.9:", "203.0.113.9:x", "[203.0.113.9", "[]:1"}) {
    EXPECT_EQ(client_of(garbage), "127.0.0.1") << garbage;
  }
}

TEST(ClientAddress, OfIpv6TheNetworkIsCountedAndTheAddressIsTrusted) {
  const TrustedProxies proxies = Trusting({"2001:db8:1:2::7"});
  EXPECT_EQ(proxies.ClientOf("ipv6:[2001:db8:9:8:7:6:5:4]:1", ""), "2001:db8:9:8::/64");
  EXPECT_EQ(proxies.ClientOf("ipv6:[2001:db8:9:8::1]:1", ""), "2001:db8:9:8::/64");
  EXPECT_EQ(proxies.ClientOf("ipv6:[2001:db8:1:2::7]:1", "203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(proxies.ClientOf("ipv6:[2001:db8:1:2::8]:1", "203.0.113.9"), "2001:db8:1:2::/64");
  EXPECT_EQ(proxies.ClientOf("ipv6:[::1]:1", ""), "::1");
}

TEST(ClientAddress, GarbageEndsTheChain) {
  const TrustedProxies proxies = Trusting({});
  EXPECT_EQ(proxies.ClientOf("ipv4:127.0.0.1:1", "203.0.113.9, unknown"), "127.0.0.1");
  EXPECT_EQ(proxies.ClientOf("ipv4:127.0.0.1:1", ",,,"), "127.0.0.1");
  EXPECT_EQ(proxies.ClientOf("ipv4:garbage", "203.0.113.9"), "203.0.113.9");  // in the process
}

TEST(TrustedProxies, WhatIsNeitherAddressNorPrefixIsRefused) {
  for (const char* bad :
       {"10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "host", "fd00::/129"}) {
    EXPECT_FALSE(TrustedProxies::Parse({bad}).ok()) << bad;
  }
  EXPECT_TRUE(TrustedProxies::Parse({"0.0.0.0/0", "::/0", "10.0.0.7"}).ok());
  EXPECT_TRUE(TrustedProxies::Parse({""}).ok());  // what a setting that is empty comes as
}

}  // namespace
}  // namespace aibackend::rpc
