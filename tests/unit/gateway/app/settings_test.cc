#include "gateway/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace aibackend::gateway {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<Invocation> LoadWith(std::vector<const char*> flags) {
  flags.insert(flags.begin(), "aibackend-gateway");
  return Load(static_cast<int>(flags.size()), flags.data());
}

std::string Problem(std::vector<const char*> flags) {
  const auto invocation = LoadWith(std::move(flags));
  return invocation.ok() ? "" : std::string(invocation.status().message());
}

// A configuration file of this test's own.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) : path_(testing::TempDir() + "/gateway.toml") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::remove(path_.c_str()); }
  const char* path() const { return path_.c_str(); }

 private:
  const std::string path_;
};

TEST(Settings, WithoutAWordItServesThisMachine) {
  const auto invocation = LoadWith({});
  ASSERT_TRUE(invocation.ok()) << invocation.status();
  EXPECT_EQ(invocation->settings.Host(), "127.0.0.1");
  EXPECT_EQ(invocation->settings.Port(), 8080);
  EXPECT_THAT(invocation->settings.servers, ElementsAre("127.0.0.1:50051"));
  EXPECT_EQ(invocation->settings.heartbeat_interval_ms, 15'000);
}

TEST(Settings, AFlagGoesBeforeTheEnvironmentAndThatBeforeTheFile) {
  const ConfigFile file(
      "[server]\nlisten = \"elsewhere\"\n[gateway]\nio-threads = 3\nservers = [\"a:1\"]\n"
      "drain-timeout-ms = 7\n[models.x]\nprice = 1\n");
  setenv("AIB_GATEWAY_IO_THREADS", "4", 1);
  setenv("AIB_SERVERS", "b:1,unix:/s", 1);
  const auto invocation = LoadWith({"--config", file.path(), "--io-threads", "5"});
  unsetenv("AIB_GATEWAY_IO_THREADS");
  unsetenv("AIB_SERVERS");
  ASSERT_TRUE(invocation.ok()) << invocation.status();
  EXPECT_EQ(invocation->settings.io_threads, 5);
  EXPECT_THAT(invocation->settings.servers, ElementsAre("b:1", "unix:/s"));
  EXPECT_EQ(invocation->settings.drain_timeout_ms, 7);
  EXPECT_EQ(invocation->settings.listen, "127.0.0.1:8080");
}

TEST(Settings, AnEmptyVariableIsAsGoodAsNone) {
  const ConfigFile file("[gateway]\nio-threads = 3\n");
  setenv("AIB_GATEWAY_IO_THREADS", "", 1);
  const auto invocation = LoadWith({"--config", file.path()});
  unsetenv("AIB_GATEWAY_IO_THREADS");
  ASSERT_TRUE(invocation.ok()) << invocation.status();
  EXPECT_EQ(invocation->settings.io_threads, 3);
}

TEST(Settings, TheSectionIsFoundInAnyToml) {
  for (const char* text : {
           "[gateway]   # what the edge does\nauth = \"required\"  # of all\n",
           "[guardrails.words]\nwords = [\"c#\"]\n[gateway]\nauth = \"required\"\n",
           "[server]\nlisten = [\n  \"127.0.0.1:1\",  # one\n  \"unix:/s\",\n]\n[gateway]\n"
           "auth = \"required\"\n",
           "[models.m]\n[[models.m.upstreams]]\nbase_url = \"http://a\"\n[ gateway ]\n"
           "\"auth\" = 'required'\n",
           "gateway.auth = \"required\"\n",
           "gateway = { auth = \"required\" }\n",
       }) {
    const ConfigFile file(text);
    const auto invocation = LoadWith({"--config", file.path()});
    ASSERT_TRUE(invocation.ok()) << text << invocation.status();
    EXPECT_TRUE(invocation->settings.needs_key) << text;
  }
}

TEST(Settings, TheSectionsArraysGoOverLinesAndItsKeysMayHaveUnderscores) {
  const ConfigFile file(
      "[gateway]\nservers = [\n  \"a:1\",\n  \"unix:/s\",  # near\n]\nio_threads=3\n");
  const auto invocation = LoadWith({"--config", file.path()});
  ASSERT_TRUE(invocation.ok()) << invocation.status();
  EXPECT_THAT(invocation->settings.servers, ElementsAre("a:1", "unix:/s"));
  EXPECT_EQ(invocation->settings.io_threads, 3);
}

TEST(Settings, MistakesInTheFileAreNamedWithTheirLine) {
  const auto problem = [](const std::string& text) {
    const ConfigFile file(text);
    return Problem({"--config", file.path()});
  };
  EXPECT_THAT(problem("[gateway]\nheartbeat = 1\nlisten = {}\n"),
              AllOf(HasSubstr("gateway.heartbeat (line 2): unknown key"),
                    HasSubstr("gateway.listen (line 3): must be")));
  EXPECT_THAT(problem("[gateway]\nconfig = \"other\"\nprint-config = true\n"),
              AllOf(HasSubstr("gateway.config"), HasSubstr("gateway.print-config")));
  EXPECT_THAT(problem("[gateway]\nio-threads = 1\nio_threads = 2\n"), HasSubstr("twice"));
  EXPECT_THAT(problem("[gateway]\nio-threads = \"many\"\n"), HasSubstr("io-threads"));
  EXPECT_THAT(problem("[gateway]\nio-threads = [1, 2]\n"), HasSubstr("io-threads"));
  EXPECT_THAT(problem("[gateway]\nauth = true\n"), HasSubstr("auth"));
  EXPECT_THAT(problem("[gateway.deep]\nauth = \"off\"\n"), HasSubstr("gateway.deep"));
  EXPECT_THAT(problem("[[gateway]]\nauth = \"off\"\n"), HasSubstr("must be a table"));
  EXPECT_THAT(problem("gateway = 1\n"), HasSubstr("must be a table"));
  EXPECT_THAT(problem("[server]\nlisten = \"127.0.0.1:1\n[gateway]\n"), HasSubstr("line 2"));
  EXPECT_THAT(problem("[gateway]\n[gateway]\n"), HasSubstr("line 2"));
}

TEST(Settings, WhatIsWrongIsNamed) {
  EXPECT_THAT(Problem({"--io-threads", "0"}), HasSubstr("io-threads"));
  EXPECT_THAT(Problem({"--no-such-flag"}), HasSubstr("no-such-flag"));
  EXPECT_THAT(Problem({"--listen", "nowhere"}), HasSubstr("listen"));
  EXPECT_THAT(Problem({"--listen", "127.0.0.1:99999"}), HasSubstr("listen"));
  EXPECT_THAT(Problem({"--log-level", "loud"}), HasSubstr("log-level"));
  EXPECT_THAT(Problem({"--log-format", "xml"}), HasSubstr("log-format"));
  EXPECT_THAT(Problem({"--otlp-endpoint", "nowhere"}), HasSubstr("otlp-endpoint"));
  EXPECT_THAT(Problem({"--trace-sample", "1.5"}), HasSubstr("trace-sample"));
  const ConfigFile file("[gateway]\nheartbeat = 1\n");
  EXPECT_THAT(Problem({"--config", file.path()}), HasSubstr("heartbeat"));
  EXPECT_THAT(Problem({"--config", "/no/such/file.toml"}), HasSubstr("/no/such/file.toml"));
}

TEST(Settings, BeyondThisMachineItListensOnlyWhenTold) {
  for (const char* address :
       {"0.0.0.0:8080", "[::]:8080", "10.1.2.3:80", "127.example.com:80", ":80"}) {
    EXPECT_THAT(Problem({"--listen", address}), HasSubstr("listen")) << address;
  }
  EXPECT_THAT(Problem({"--listen", "0.0.0.0:8080"}), HasSubstr("AIB_INSECURE_LISTEN"));
  EXPECT_EQ(Problem({"--listen", "0.0.0.0:8080", "--insecure-listen", "true"}), "");
  for (const char* address : {"127.0.0.2:1", "localhost:1", "[::1]:1"})
    EXPECT_EQ(Problem({"--listen", address}), "") << address;
}

TEST(Settings, HelpNamesEverySettingAndTheSampleFileIsAccepted) {
  EXPECT_THAT(LoadWith({"--help"})->print, HasSubstr("AIB_GATEWAY_BODY_BYTES_MAX"));
  const ConfigFile file(LoadWith({"--print-config"})->print);
  EXPECT_EQ(Problem({"--config", file.path()}), "");
}

}  // namespace
}  // namespace aibackend::gateway
