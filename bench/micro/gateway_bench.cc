// What the gateway does for every request and every token.
#include "aibackend/v1/aibackend.pb.h"
#include "benchmark/benchmark.h"
#include "gateway/transcode/json_reader.h"
#include "gateway/transcode/json_writer.h"
#include "gateway/transcode/route_table.h"
#include "gateway/transcode/sse.h"
#include "server/net/sse_reader.h"

namespace aibackend::gateway {
namespace {

constexpr char kChatJson[] =
    R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"What is FastAPI, and how does it )"
    R"(compare with what came before it?"}],"temperature":0.7,"max_tokens":256,"retrieval":{"top_k":5,"strict":true}})";

void BM_JsonToChatRequest(benchmark::State& state) {
  for (auto _ : state) {
    v1::ChatRequest request;
    auto error = ReadJson(kChatJson, request);
    benchmark::DoNotOptimize(error);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_JsonToChatRequest);

void BM_ChatResponseToJson(benchmark::State& state) {
  v1::ChatResponse response;
  response.set_id("req_01hzy0000000000000000000");
  response.set_response(std::string(400, 'a'));
  response.set_model("extractive");
  auto* citation = response.add_citations();
  citation->set_document_id("sample-fastapi");
  citation->set_text(std::string(120, 'b'));
  for (auto _ : state) benchmark::DoNotOptimize(MessageToJson(response));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_ChatResponseToJson);

void BM_RouteFind(benchmark::State& state) {
  const auto table = RouteTable::Build(
      {v1::ChatRequest::descriptor()->file()->pool()->FindServiceByName("aibackend.v1.AiBackend")});
  for (auto _ : state) {
    benchmark::DoNotOptimize(table->Find("POST", "/v1/chat"));
    benchmark::DoNotOptimize(table->Find("GET", "/v1/jobs/job_01hzy0000000000000000000"));
  }
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(BM_RouteFind);

void BM_SseDelta(benchmark::State& state) {
  uint64_t id = 0;
  for (auto _ : state) benchmark::DoNotOptimize(SseDelta(++id, "retrieval "));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SseDelta);

}  // namespace
}  // namespace aibackend::gateway
