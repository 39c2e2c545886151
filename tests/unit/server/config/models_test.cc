#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/toml_file.h"

namespace aibackend::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

absl::StatusOr<TomlContent> Read(const std::string& text) {
  ModelSettings defaults;
  defaults.upstreams.emplace_back();
  defaults.upstreams[0].timeouts = {2'000, 30'000, 31'000, 600'000};
  defaults.upstreams[0].queue_max = 100;
  defaults.retries = 2;
  std::istringstream input(text);
  return ReadToml(input, "server", defaults);
}

TEST(ModelsToml, AModelIsItsTableOverTheDefaults) {
  const auto content = Read(R"([models.fast]
base_url = "http://127.0.0.1:1/v1"
api_key = "sk-1"
upstream_model = "gpt-x"
aliases = ["quick", "a/b"]
retries = 0
context_tokens = 8192
idle-timeout-ms = 5
)");
  ASSERT_TRUE(content.ok()) << content.status();
  ASSERT_EQ(content->models.size(), 1u);
  const ModelSettings& model = content->models[0];
  EXPECT_EQ(model.name, "fast");
  EXPECT_EQ(model.provider, ModelSettings::Provider::kOpenAi);
  EXPECT_THAT(model.aliases, ElementsAre("quick", "a/b"));
  EXPECT_EQ(model.retries, 0);
  EXPECT_EQ(model.context_tokens, 8192);
  ASSERT_EQ(model.upstreams.size(), 1u);
  EXPECT_EQ(model.upstreams[0].api_key, "sk-1");
  EXPECT_EQ(model.upstreams[0].model, "gpt-x");
  EXPECT_EQ(model.upstreams[0].timeouts.idle_ms, 5);
  EXPECT_EQ(model.upstreams[0].timeouts.total_ms, 600'000);
}

TEST(ModelsToml, SeveralUpstreamsTakeFromTheModelWhatTheyDontSay) {
  const auto content = Read(R"([models.m]
api_key = "sk-shared"
[[models.m.upstreams]]
base_url = "http://a/v1"
weight = 3
[[models.m.upstreams]]
base_url = "https://b/v1"
api_key = "sk-own"
upstream_model = "other"
)");
  ASSERT_TRUE(content.ok()) << content.status();
  const auto& upstreams = content->models[0].upstreams;
  ASSERT_EQ(upstreams.size(), 2u);
  EXPECT_EQ(upstreams[0].weight, 3);
  EXPECT_EQ(upstreams[0].api_key, "sk-shared");
  EXPECT_EQ(upstreams[0].model, "m");
  EXPECT_EQ(upstreams[1].weight, 1);
  EXPECT_EQ(upstreams[1].api_key, "sk-own");
  EXPECT_EQ(upstreams[1].model, "other");
}

TEST(ModelsToml, ModelsKeepTheFilesOrderAndTheDefaultIsFirst) {
  const std::string url = "base_url = \"http://a\"\n";
  const auto in_order = Read("[models.z]\n" + url + "[models.a]\n" + url);
  ASSERT_TRUE(in_order.ok()) << in_order.status();
  EXPECT_EQ(in_order->models[0].name, "z");
  EXPECT_EQ(in_order->models[1].name, "a");
  const auto chosen = Read("[models.z]\n" + url + "[models.a]\ndefault = true\n" + url);
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(chosen->models[0].name, "a");
}

TEST(ModelsToml, AKeyMayComeFromTheEnvironment) {
  setenv("MODELS_TEST_KEY", "sk-from-env", 1);
  const auto content = Read("[models.m]\nbase_url=\"http://a\"\napi_key_env=\"MODELS_TEST_KEY\"\n");
  unsetenv("MODELS_TEST_KEY");
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(content->models[0].upstreams[0].api_key, "sk-from-env");
}

struct Mistake {
  const char* text;
  const char* key;   // that the message names
  const char* what;  // and something of what it says
};

class ModelsTomlMistakes : public testing::TestWithParam<Mistake> {};

TEST_P(ModelsTomlMistakes, AreNamedWithTheirLine) {
  const auto content = Read(GetParam().text);
  ASSERT_FALSE(content.ok());
  EXPECT_THAT(std::string(content.status().message()),
              AllOf(HasSubstr(GetParam().key), HasSubstr(GetParam().what), HasSubstr("line "),
                    Not(HasSubstr("sk-secret"))));
}

INSTANTIATE_TEST_SUITE_P(
    All, ModelsTomlMistakes,
    testing::Values(
        Mistake{"[models.m\n", "line 1", "line 1"},
        Mistake{"[modles.m]\nbase_url=\"http://a\"\n", "modles", "unknown"},
        Mistake{"[models.m]\nbase_urll=\"http://a\"\n", "models.m.base_urll", "unknown key; known"},
        Mistake{"[models.m]\nretries=1\n", "models.m.base_url", "missing"},
        Mistake{"[models.m]\nbase_url=3\n", "models.m.base_url", "string"},
        Mistake{"[models.m]\nbase_url=\"ftp://a\"\n", "models.m.base_url", "http"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\nretries=\"two\"\n", "models.m.retries",
                "whole number from 0 to 10"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\nretries=11\n", "models.m.retries", "0 to 10"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\ncontext_tokens=1\n", "models.m.context_tokens",
                "512 to"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\nretries=1.0\n", "models.m.retries", "whole"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\nprovider=\"azure\"\n", "models.m.provider",
                "anthropic, openai"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\naliases=\"x\"\n", "models.m.aliases", "array"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\naliases=[\"docs/x\"]\n", "models.m.aliases",
                "no name"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\napi_key=7\n", "models.m.api_key", "string"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\napi_key_env=\"MODELS_TEST_UNSET\"\n",
                "models.m.api_key_env", "MODELS_TEST_UNSET is not set"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\napi_key=\"sk-secret\"\napi_key_env=\"X\"\n",
                "models.m.api_key_env", "enough"},
        Mistake{"[models.m]\nupstreams=[]\n", "models.m.upstreams", "[[models.m.upstreams]]"},
        Mistake{"[models.m]\n[[models.m.upstreams]]\nweight=2\n", "models.m.upstreams[0].base_url",
                "missing"},
        Mistake{"[models.m]\n[[models.m.upstreams]]\nbase_url=\"http://a\"\nweight=-1\n",
                "models.m.upstreams[0].weight", "above 0"},
        Mistake{"[models.m]\n[[models.m.upstreams]]\nbase_url=\"http://a\"\nretries=1\n",
                "models.m.upstreams[0].retries", "unknown key"},
        Mistake{"[models.m]\nbase_url=\"http://a\"\nprovider=\"anthropic\"\nkind=\"embedding\"\n",
                "models.m.kind", "no embeddings"},
        Mistake{"[models.a]\nbase_url=\"http://a\"\ndefault=true\n[models.b]\n"
                "base_url=\"http://a\"\ndefault=true\n",
                "models.b.default", "models.a is the default"},
        Mistake{"[models]\nm=3\n", "models.m", "must be a table"},
        Mistake{"models=3\n", "models", "must be a table"},
        Mistake{"[server]\n[server.deep]\nx=1\n", "server.deep", "must be a string"}));

TEST(ModelsToml, EveryMistakeIsReportedAtOnce) {
  const auto content = Read("[models.m]\nretries=99\nprovider=\"x\"\nnope=1\n");
  ASSERT_FALSE(content.ok());
  EXPECT_THAT(std::string(content.status().message()),
              AllOf(HasSubstr("models.m.retries"), HasSubstr("models.m.provider"),
                    HasSubstr("models.m.nope"), HasSubstr("models.m.base_url")));
}

TEST(ModelNames, AreTakenOnceAKindAndFallbacksMustExist) {
  ModelSettings a;
  a.name = "a";
  a.aliases = {"x"};
  a.fallbacks = {"b", "extractive"};
  ModelSettings b;
  b.name = "b";
  EXPECT_TRUE(NameProblems({a, b}).empty());
  ModelSettings embedding;
  embedding.name = "a";  // of another kind
  embedding.kind = ModelSettings::Kind::kEmbedding;
  EXPECT_TRUE(NameProblems({a, b, embedding}).empty());

  b.aliases = {"x"};
  EXPECT_THAT(NameProblems({a, b}), ElementsAre(HasSubstr("'x' is taken by model a")));
  b.aliases = {"extractive"};
  EXPECT_THAT(NameProblems({a, b}), ElementsAre(HasSubstr("'extractive' is taken")));
  b.aliases = {};
  b.fallbacks = {"b", "nope", "x"};
  EXPECT_THAT(NameProblems({a, b}),
              ElementsAre(HasSubstr("the model itself"), HasSubstr("'nope' is no chat model"),
                          HasSubstr("'x' is no chat model")));
}

}  // namespace
}  // namespace aibackend::config
