#include "server/config/settings.h"

#include <cstdlib>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libstemmer.h"
#include "proto/otlp/span_exporter.h"
#include "server/retrieval/analyzer.h"

namespace aibackend::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<Invocation> LoadArgs(std::vector<const char*> args) {
  args.insert(args.begin(), "aibackend-server");
  return Load(static_cast<int>(args.size()), args.data());
}

class SettingsTest : public testing::Test {
 protected:
  void SetEnv(const char* name, const char* value) {
    setenv(name, value, 1);
    names_.push_back(name);
  }
  std::string File(const std::string& text) {
    const std::string path = testing::TempDir() + "/settings_test.toml";
    std::ofstream(path) << text;
    return path;
  }
  void TearDown() override {
    for (const char* name : names_) unsetenv(name);
  }

 private:
  std::vector<const char*> names_;
};

TEST_F(SettingsTest, DefaultsAreLoopbackAndEmbedded) {
  const auto loaded = LoadArgs({});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT(loaded->settings.listen, ElementsAre("127.0.0.1:50051"));
  EXPECT_EQ(loaded->settings.openai_base_url, "");
  EXPECT_EQ(loaded->settings.words_per_second, 50);
  EXPECT_EQ(loaded->settings.log_content, "true");
  EXPECT_FALSE(loaded->settings.RequiresAuth());
  EXPECT_EQ(loaded->settings.limits_mode, "enforce");
}

TEST_F(SettingsTest, FlagWinsOverEnvironmentWinsOverFile) {
  const std::string path =
      File("[server]\njob-threads=2\nturns-max=20\nworker-threads=2\n[gateway]\nother=1\n");
  SetEnv("AIB_TURNS_MAX", "30");
  SetEnv("AIB_WORKER_THREADS", "3");
  const auto loaded = LoadArgs({"--config", path.c_str(), "--worker-threads", "4"});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->settings.job_threads, 2);
  EXPECT_EQ(loaded->settings.turns_max, 30);
  EXPECT_EQ(loaded->settings.worker_threads, 4);
}

TEST_F(SettingsTest, AnUnknownKeyOfTheFileIsRefusedByName) {
  const std::string path = File("[server]\njob-treads=2\n");
  const auto loaded = LoadArgs({"--config", path.c_str()});
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("job-treads"));
}

TEST_F(SettingsTest, TheLanguagesAreThoseThatRetrievalReads) {
  std::vector<std::string> names = {"none"};
  for (const char** name = sb_stemmer_list(); *name != nullptr; ++name) names.emplace_back(*name);
  for (const std::string& name : names) {
    const auto loaded = LoadArgs({"--retrieval-language", name.c_str()});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->settings.retrieval_language, name);
    EXPECT_TRUE(retrieval::UseLanguage(name).ok()) << name;
  }
  SetEnv("AIB_RETRIEVAL_LANGUAGE", "klingon");
  const auto refused = LoadArgs({});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("klingon"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("german"));
}

TEST_F(SettingsTest, AValueOutOfBoundsIsRefusedByName) {
  SetEnv("AIB_JOB_THREADS", "0");
  const auto loaded = LoadArgs({});
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("job-threads"));
}

TEST_F(SettingsTest, AnAddressBeyondThisMachineNeedsAnExplicitWord) {
  const auto refused = LoadArgs({"--listen", "127.0.0.1:1,0.0.0.0:2"});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("0.0.0.0:2"));
  EXPECT_TRUE(LoadArgs({"--listen", "0.0.0.0:2", "--insecure-listen", "true"}).ok());
  EXPECT_TRUE(LoadArgs({"--listen", "unix:/tmp/x.sock,[::1]:5,localhost:6"}).ok());
}

TEST_F(SettingsTest, ANameThatBeginsLikeALoopbackAddressIsBeyondThisMachine) {
  EXPECT_FALSE(LoadArgs({"--listen", "127.example.com:80"}).ok());
}

TEST_F(SettingsTest, MetricsBeyondThisMachineNeedTheSameWordAlsoWhereKeysAreAskedFor) {
  const auto refused =
      LoadArgs({"--metrics-listen", "0.0.0.0:9464", "--admin-key", "0123456789abcdef"});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("metrics-listen: 0.0.0.0:9464"));
  EXPECT_TRUE(LoadArgs({"--metrics-listen", "0.0.0.0:9464", "--insecure-listen", "true"}).ok());
  EXPECT_TRUE(LoadArgs({"--metrics-listen", "[::1]:0"}).ok());
}

TEST_F(SettingsTest, ACollectorsEndpointIsWhatTheExporterTakes) {
  for (const char* endpoint :
       {"collector:4317", "http://127.0.0.1:4317", "https://otlp.test:443/", "[::1]:4317",
        "collector", ":4317", "collector:0", "collector:x", "collector:65536",
        "http://collector:4317/v1/traces", "ftp://collector:4317"}) {
    EXPECT_EQ(LoadArgs({"--otlp-endpoint", endpoint}).ok(), otlp::CheckEndpoint(endpoint).ok())
        << endpoint;
  }
}

TEST_F(SettingsTest, AnEmptyListOfProxiesIsNone) {
  const std::string path = File("[server]\ntrusted-proxies=\"\"\n");
  EXPECT_TRUE(LoadArgs({"--config", path.c_str()}).ok());
}

TEST_F(SettingsTest, MistakesInAddressesAreReportedAtOnce) {
  const auto refused = LoadArgs({"--trusted-proxies", "10.0.0.0/8,10.0.0.0/33,host",
                                 "--otlp-endpoint", "nowhere", "--metrics-listen", "nowhere"});
  ASSERT_FALSE(refused.ok());
  const std::string message(refused.status().message());
  for (const char* named : {"trusted-proxies: '10.0.0.0/33'", "trusted-proxies: 'host'",
                            "otlp-endpoint: nowhere", "metrics-listen: nowhere"}) {
    EXPECT_THAT(message, HasSubstr(named));
  }
  EXPECT_THAT(message, testing::Not(HasSubstr("'10.0.0.0/8'")));
}

TEST_F(SettingsTest, EveryProblemOfMeaningIsReportedAtOnce) {
  const auto refused =
      LoadArgs({"--listen", "0.0.0.0:2", "--openai-base-url", "ftp://x", "--model", "extractive"});
  ASSERT_FALSE(refused.ok());
  const std::string message(refused.status().message());
  EXPECT_THAT(message, HasSubstr("listen"));
  EXPECT_THAT(message, HasSubstr("openai-base-url"));
  EXPECT_THAT(message, HasSubstr("model"));
}

TEST_F(SettingsTest, TheAnthropicUpstreamIsCheckedAsTheOtherIs) {
  const auto problem = [](std::vector<const char*> args) {
    return std::string(LoadArgs(std::move(args)).status().message());
  };
  EXPECT_THAT(problem({"--anthropic-base-url", "ftp://x"}), HasSubstr("anthropic-base-url"));
  EXPECT_THAT(problem({"--anthropic-model", ""}), HasSubstr("anthropic-model"));
  EXPECT_THAT(problem({"--anthropic-model", "extractive"}), HasSubstr("anthropic-model"));
  const auto loaded = LoadArgs({"--anthropic-base-url", "https://x"});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->settings.anthropic_model, "claude-sonnet-4-5");
}

TEST_F(SettingsTest, TwoUpstreamModelsMustNotShareAName) {
  const auto refused = LoadArgs({"--anthropic-base-url", "http://x", "--openai-base-url",
                                 "http://y", "--model", "m", "--anthropic-model", "m"});
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("is taken"));
  EXPECT_TRUE(
      LoadArgs({"--anthropic-base-url", "http://x", "--model", "m", "--anthropic-model", "m"})
          .ok());
}

TEST_F(SettingsTest, TheEmbedderOfDocumentsIsFittedOrOneOfTheEmbeddingModels) {
  EXPECT_EQ(LoadArgs({})->settings.retrieval_embedder, "fitted");
  EXPECT_EQ(LoadArgs({})->settings.retrieval_embed_timeout_ms, 2000);
  const auto unknown = LoadArgs({"--retrieval-embedder", "vec"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("retrieval-embedder"));
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("fitted"));
  const auto known = LoadArgs({"--retrieval-embedder", "vec", "--embedding-model", "vec",
                               "--openai-base-url", "http://127.0.0.1:1"});
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->settings.retrieval_embedder, "vec");
  EXPECT_FALSE(
      LoadArgs({"--embedding-model", "fitted", "--openai-base-url", "http://127.0.0.1:1"}).ok());
}

TEST_F(SettingsTest, SeveralAddressesComeByCommaFromTheEnvironment) {
  SetEnv("AIB_SERVER_LISTEN", "127.0.0.1:7,unix:/tmp/y.sock");
  const auto loaded = LoadArgs({});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT(loaded->settings.listen, ElementsAre("127.0.0.1:7", "unix:/tmp/y.sock"));
}

TEST_F(SettingsTest, LegsOfRetrievalAreAllUnlessSomeAreNamed) {
  EXPECT_EQ(LoadArgs({})->settings.retrieval_legs.size(), 8U);
  SetEnv("AIB_RETRIEVAL_LEGS", "words,dense");
  EXPECT_THAT(LoadArgs({})->settings.retrieval_legs, ElementsAre("words", "dense"));
  const auto unknown = LoadArgs({"--retrieval-legs", "words,wrods"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("wrods"));
}

TEST_F(SettingsTest, ThePrintedConfigurationHoldsNoSecretAndCanBeRead) {
  SetEnv("AIB_OPENAI_API_KEY", "sk-secret");
  SetEnv("AIB_ANTHROPIC_API_KEY", "sk-ant-hush");
  const auto printed = LoadArgs({"--print-config"});
  ASSERT_TRUE(printed.ok()) << printed.status();
  EXPECT_THAT(printed->print, testing::Not(HasSubstr("sk-secret")));
  EXPECT_THAT(printed->print, testing::Not(HasSubstr("sk-ant-hush")));
  EXPECT_THAT(printed->print, HasSubstr("words-per-second"));
  const std::string path = File(printed->print);
  EXPECT_TRUE(LoadArgs({"--config", path.c_str()}).ok())
      << LoadArgs({"--config", path.c_str()}).status();
}

TEST_F(SettingsTest, HelpNamesTheEnvironmentVariables) {
  const auto help = LoadArgs({"--help"});
  ASSERT_TRUE(help.ok());
  EXPECT_THAT(help->print, HasSubstr("AIB_SERVER_LISTEN"));
}

}  // namespace
}  // namespace aibackend::config
