#include "server/base/net_address.h"

#include "gtest/gtest.h"

namespace aibackend {
namespace {

TEST(IpBytes, AnAddressIsReadAndWrittenAlike) {
  for (const char* text : {"10.0.0.7", "::1", "2001:db8::1"}) {
    EXPECT_EQ(IpText(IpBytes(text)), text);
  }
  EXPECT_EQ(IpText(IpBytes("::ffff:10.0.0.7")), "10.0.0.7");
  for (const char* none : {"", "10.0.0", "10.0.0.7:1", "[::1]", "host", "10.0.0.256"}) {
    EXPECT_EQ(IpBytes(none), "") << none;
  }
}

TEST(IpPrefix, HoldsWhatBeginsLikeIt) {
  const auto has = [](const char* prefix, const char* address) {
    return ParseIpPrefix(prefix)->Has(IpBytes(address));
  };
  EXPECT_TRUE(has("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(has("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(has("172.16.0.0/12", "172.31.0.1"));
  EXPECT_FALSE(has("172.16.0.0/12", "172.32.0.1"));
  EXPECT_TRUE(has("fd00::/8", "fd12::1"));
  EXPECT_FALSE(has("::/0", "10.0.0.1"));  // of the other family
  EXPECT_FALSE(has("10.0.0.7", "10.0.0.8"));
  for (const char* none :
       {"", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "host", "fd00::/129"}) {
    EXPECT_FALSE(ParseIpPrefix(none)) << none;
  }
}

TEST(HostPort, AnIpv6HostStandsInBrackets) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:80")->host, "127.0.0.1");
  EXPECT_EQ(ParseHostPort("[::1]:0")->host, "::1");
  EXPECT_EQ(ParseHostPort("a.example:65535")->port, 65535);
  for (const char* none : {"", "host", ":80", "host:", "host:x", "host:65536", "host:-1"}) {
    EXPECT_FALSE(ParseHostPort(none)) << none;
  }
}

TEST(IsLoopbackHost, ANameThatOnlyBeginsLikeALoopbackAddressIsNone) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"127.example.com", "localhost.example.com", "0.0.0.0", "::", ""}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

}  // namespace
}  // namespace aibackend
