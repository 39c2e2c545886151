#include "server/rpc/chat_rpc.h"

#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "server/rpc/service.h"
#include "tests/unit/server/rpc/core_fixture.h"

namespace aibackend::rpc {
namespace {

using ::testing::ElementsAre;

// Says kTokens tokens, one a tick of the timer, each with its logprob; first a thought, last a tool
// call.
class TickingModel final : public models::LanguageModel {
 public:
  static constexpr int kTokens = 20;

  models::ModelInfo info() const override {
    models::ModelInfo info;
    info.id = "ticking";
    return info;
  }

  std::shared_ptr<models::Generation> Generate(
      const models::GenerateRequest&, std::shared_ptr<models::GenerateSink> sink) override {
    ++calls;
    auto answer = std::make_shared<Answering>(std::move(sink), timer_);
    answer->Schedule();
    return answer;
  }

  static std::string Text() {
    std::string text;
    for (int i = 0; i < kTokens; ++i) absl::StrAppend(&text, "token", i, " ");
    return text;
  }

  std::atomic<int> calls{0};

 private:
  struct Answering final : models::Generation, std::enable_shared_from_this<Answering> {
    Answering(std::shared_ptr<models::GenerateSink> s, Timer& t) : sink(std::move(s)), timer(t) {}

    void Cancel() override { cancelled = true; }
    void Schedule() {
      timer.After(absl::Microseconds(300), [self = shared_from_this()] { self->Tick(); });
    }

    void Tick() {
      models::GenerateResult end;
      end.usage = {1, tokens, false};
      if (cancelled) {
        end.status = MakeError(Reason::CANCELLED, "cancelled");
        return std::exchange(sink, nullptr)->OnDone(std::move(end));
      }
      if (tokens == kTokens) {
        const std::vector<models::ToolCallDelta> calls = {{0, "c0", "dive", "{}"}};
        models::Delta call;
        call.tool_calls = calls;
        sink->OnDelta(call);
        end.finish_reason = "stop";
        return std::exchange(sink, nullptr)->OnDone(std::move(end));
      }
      std::vector<models::TokenLogprob> logprobs(1);
      logprobs[0].token = absl::StrCat("token", tokens, " ");
      models::Delta delta(logprobs[0].token);
      if (tokens == 0) delta.reasoning = "hm";
      delta.logprobs = logprobs;
      sink->OnDelta(delta);
      ++tokens;
      Schedule();
    }

    std::shared_ptr<models::GenerateSink> sink;  // the timer's thread has it
    Timer& timer;
    int tokens = 0;
    std::atomic<bool> cancelled{false};
  };

  Timer timer_;
};

class ChatRpcTest : public CoreFixture {
 protected:
  static constexpr int kMessageBytesMax = 8 << 20;  // more than a turn may have

  explicit ChatRpcTest(const std::vector<guard::Rule>& rules = {}) : CoreFixture(2, 1000, rules) {
    EXPECT_TRUE(models_.Add(model_).ok());
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    server_ = builder.BuildAndStart();
    stub_ = v1::AiBackend::NewStub(server_->InProcessChannel({}));
  }

  static v1::ChatRequest Request() {
    v1::ChatRequest request;
    request.set_prompt("What swims?");
    request.mutable_retrieval()->set_enabled(false);
    return request;
  }

  // All rows, once every call and every turn has ended.
  std::vector<usage::RequestRow> EndAndList() {
    server_->Shutdown();
    keyed_turns_.reset();
    return Rows();
  }

  TickingModel model_;
  std::unique_ptr<grpc::Service> service_ = MakeAiBackendService(core_);
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::AiBackend::Stub> stub_;
};

TEST_F(ChatRpcTest, AStreamCarriesReasoningTextLogprobsAndToolCallsInOrder) {
  grpc::ClientContext context;
  auto stream = stub_->ChatStream(&context, Request());
  v1::ChatStreamEvent event;
  std::vector<std::string> kinds;
  std::string text;
  std::string tokens;
  int64_t sequence = 0;
  while (stream->Read(&event)) {
    EXPECT_GT(event.sequence(), sequence);
    sequence = event.sequence();
    const std::string kind = event.GetDescriptor()->FindFieldByNumber(event.event_case())->name();
    if (kinds.empty() || kinds.back() != kind) kinds.push_back(kind);
    text += event.delta();
    for (const auto& logprob : event.logprobs()) tokens += logprob.token();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_THAT(kinds, ElementsAre("reasoning", "delta", "tool_call", "done"));
  EXPECT_EQ(text, TickingModel::Text());
  EXPECT_EQ(tokens, text);
  EXPECT_FALSE(event.done().has_response());
  EXPECT_EQ(event.done().usage().completion_tokens(), TickingModel::kTokens);
  EXPECT_EQ(EndAndList().size(), 1u);
}

// Leaves after a number of events, comes back after the last one's sequence, until it has all.
TEST_F(ChatRpcTest, AClientThatLeavesAgainAndAgainHasTheTextExactlyOnce) {
  std::string text;
  std::string position;
  int visits = 0;
  for (bool done = false; !done; ++visits) {
    grpc::ClientContext context;
    context.AddMetadata("idempotency-key", "key");
    if (!position.empty()) context.AddMetadata("last-event-id", position);
    auto stream = stub_->ChatStream(&context, Request());
    v1::ChatStreamEvent event;
    for (int i = 0; i < 2 && !done && stream->Read(&event); ++i) {
      text += event.delta();
      position = absl::StrCat(event.sequence());
      done = event.has_done();
    }
    context.TryCancel();
    while (stream->Read(&event)) {
    }
    stream->Finish();
    ASSERT_LT(visits, 1000);
  }
  EXPECT_EQ(text, TickingModel::Text());
  EXPECT_EQ(model_.calls, 1);
  int paid = 0;
  for (const auto& row : EndAndList()) {
    if (!row.replay_of.empty()) continue;
    ++paid;
    EXPECT_EQ(row.status, usage::RequestStatus::kOk);
    EXPECT_EQ(row.completion_tokens, TickingModel::kTokens);
  }
  EXPECT_EQ(paid, 1);
}

TEST_F(ChatRpcTest, ClientsThatLeaveAtAnyMomentLeaveOneEndedRowEach) {
  constexpr int kThreads = 8;
  constexpr int kCalls = 40;
  constexpr int kKeys = 30;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(t + 1);
      for (int i = 0; i < kCalls; ++i) {
        grpc::ClientContext context;
        const auto key = random() % (2 * kKeys);  // half of them without
        if (key < kKeys) context.AddMetadata("idempotency-key", absl::StrCat("key", key));
        if (random() % 3 == 0) {
          context.set_deadline(std::chrono::system_clock::now() +
                               std::chrono::microseconds(random() % 10'000));
          v1::ChatResponse response;
          if (stub_->Chat(&context, Request(), &response).ok()) {
            EXPECT_EQ(response.response(), TickingModel::Text());
          }
          continue;
        }
        auto stream = stub_->ChatStream(&context, Request());
        v1::ChatStreamEvent event;
        std::string text;
        auto left = random() % (2 * TickingModel::kTokens);
        while (stream->Read(&event)) {
          text += event.delta();
          if (left-- == 0) context.TryCancel();
        }
        if (stream->Finish().ok()) {
          EXPECT_EQ(text, TickingModel::Text());
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto rows = EndAndList();
  std::set<std::string> ids;
  for (const auto& row : rows) {
    EXPECT_NE(row.status, usage::RequestStatus::kRunning) << row.request_id.value;
    if (!row.replay_of.empty()) {
      EXPECT_EQ(row.completion_tokens, 0);
    }
    ids.insert(row.request_id.value);
  }
  EXPECT_EQ(ids.size(), rows.size());
  EXPECT_GT(rows.size(), size_t{kThreads * kCalls / 2});  // some left before they had arrived
}

std::vector<guard::Rule> MaskMail() {
  guard::Rule rule;
  rule.name = "mail";
  rule.kind = guard::Rule::Kind::kEmail;
  rule.action = guard::Rule::Action::kMask;
  return {rule};
}

class GuardedChatRpcTest : public ChatRpcTest {
 protected:
  GuardedChatRpcTest() : ChatRpcTest(MaskMail()) {}

  grpc::StatusCode Chat(const v1::ChatRequest& request, const std::string& key = "") {
    grpc::ClientContext context;
    if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
    v1::ChatResponse response;
    return stub_->Chat(&context, request, &response).error_code();
  }
};

TEST_F(GuardedChatRpcTest, TheRowHasTheQuestionAsTheRulesLeaveIt) {
  v1::ChatRequest request = Request();
  request.set_prompt("Does ann@example.com swim?");
  EXPECT_EQ(Chat(request), grpc::StatusCode::OK);
  EXPECT_EQ(guarded_, 1);
  const auto rows = EndAndList();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].prompt, "Does [email] swim?");
  EXPECT_EQ(rows[0].prompt_bytes, 26);  // as it was sent
  EXPECT_EQ(rows[0].guardrails, "mail:mask");
}

TEST_F(GuardedChatRpcTest, WhatIsRefusedCostsTheRulesNothingAndLeavesNoTextInItsRow) {
  v1::ChatRequest request = Request();
  request.set_prompt("a@b.de");
  EXPECT_EQ(Chat(request, "aib_nobodys"), grpc::StatusCode::UNAUTHENTICATED);  // without a row
  request.set_temperature(3);
  EXPECT_EQ(Chat(request), grpc::StatusCode::INVALID_ARGUMENT);
  request.clear_temperature();
  request.set_prompt("a@b.de" + std::string(size_t{4} << 20, 'a'));
  EXPECT_NE(Chat(request), grpc::StatusCode::OK);
  EXPECT_EQ(guarded_, 0);
  const auto rows = EndAndList();
  ASSERT_EQ(rows.size(), 2u);
  for (const usage::RequestRow& row : rows) {
    EXPECT_EQ(row.prompt, "");
    EXPECT_GT(row.prompt_bytes, 0);
    EXPECT_EQ(row.guardrails, "");
  }
}

}  // namespace
}  // namespace aibackend::rpc
