// What an event of an upstream's stream costs, from its bytes to the sink: SSE, JSON, the answer.
#include <memory>
#include <string>

#include "benchmark/benchmark.h"
#include "server/models/anthropic_wire.h"
#include "server/models/openai_wire.h"
#include "server/models/upstream_generation.h"

namespace aibackend::models {
namespace {

class CountingSink : public GenerateSink {
 public:
  void OnDelta(const Delta& delta) override {
    bytes_ += delta.text.size();
    for (const auto& call : delta.tool_calls) bytes_ += call.arguments.size();
  }
  void OnDone(GenerateResult result) override { benchmark::DoNotOptimize(result); }

 private:
  size_t bytes_ = 0;
};

// Feeds `event` a chunk at a time, 1,000 to an answer.
void Stream(benchmark::State& state, std::unique_ptr<AnswerReader> (*reader)(),
            const std::string& first, const std::string& event) {
  constexpr int kEvents = 1000;
  UpstreamTurn turn;
  turn.upstream = std::make_shared<Upstream>();
  turn.stream = true;
  turn.answer.bytes_max = size_t{1024} * 1024;
  turn.answer.tools_offered = true;
  for (auto _ : state) {
    UpstreamGeneration generation(turn, reader(), std::make_shared<CountingSink>());
    generation.OnHeaders(200, {{"content-type", "text/event-stream"}});
    generation.OnBody(first);
    for (int i = 0; i < kEvents; ++i) generation.OnBody(event);
    generation.OnDone(absl::OkStatus());
  }
  state.SetItemsProcessed(state.iterations() * kEvents);
}

template <class Reader>
std::unique_ptr<AnswerReader> Make() {
  return std::make_unique<Reader>();
}

constexpr char kOpenAiHead[] =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",)";

void BM_OpenAiTextEvent(benchmark::State& state) {
  const std::string event = std::string(kOpenAiHead) +
                            R"("choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,)"
                            R"("finish_reason":null}]})"
                            "\n\n";
  Stream(state, Make<OpenAiReader>, event, event);
}
BENCHMARK(BM_OpenAiTextEvent);

void BM_OpenAiToolEvent(benchmark::State& state) {
  const auto event = [](const std::string& call) {
    return std::string(kOpenAiHead) +
           R"("choices":[{"index":0,"delta":{"tool_calls":[{"index":0,)" + call +
           "}]},\"finish_reason\":null}]}\n\n";
  };
  Stream(state, Make<OpenAiReader>,
         event(R"("id":"call_1","type":"function","function":{"name":"f","arguments":""})"),
         event(R"("function":{"arguments":"word"})"));
}
BENCHMARK(BM_OpenAiToolEvent);

void BM_AnthropicTextEvent(benchmark::State& state) {
  const std::string event =
      "event: content_block_delta\n"
      R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}})"
      "\n\n";
  Stream(state, Make<AnthropicReader>, event, event);
}
BENCHMARK(BM_AnthropicTextEvent);

}  // namespace
}  // namespace aibackend::models
