#include "server/rpc/call.h"

#include <atomic>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/unit/server/rpc/core_fixture.h"

namespace aibackend::rpc {
namespace {

// One method, whose work only says that it ran.
class OneMethod final : public v1::AiBackend::CallbackService {
 public:
  explicit OneMethod(Core& core) : core_(core) {}

  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context, const v1::GetJobRequest*,
                                   v1::Job*) override {
    auto* reactor = (new BlockingCall(core_, *context, "GetJob"))->Record("")->Run([this](Call&) {
      ran = true;
      return absl::OkStatus();
    });
    absl::MutexLock lock(&mutex_);
    context_ = context;
    return reactor;
  }

  // Of the call that has arrived; lives until its work is done.
  grpc::CallbackServerContext& AwaitCall() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](grpc::CallbackServerContext** context) { return *context != nullptr; }, &context_));
    return *context_;
  }

  std::atomic<bool> ran{false};

 private:
  Core& core_;
  absl::Mutex mutex_;
  grpc::CallbackServerContext* context_ = nullptr;
};

class CallTest : public CoreFixture {
 protected:
  CallTest() : CoreFixture(1, 10) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::AiBackend::NewStub(server_->InProcessChannel({}));
  }

  OneMethod service_{core_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::AiBackend::Stub> stub_;
};

TEST_F(CallTest, ACallWhoseClientLeftBeforeItBeganIsNotRunAndHasItsRow) {
  ASSERT_TRUE(executor_.TrySubmit([this] { release_.WaitForNotification(); }));
  grpc::ClientContext context;
  std::thread client([&] {
    v1::Job job;
    EXPECT_EQ(stub_->GetJob(&context, {}, &job).error_code(), grpc::StatusCode::CANCELLED);
  });
  const grpc::CallbackServerContext& arrived = service_.AwaitCall();
  context.TryCancel();
  client.join();
  while (!arrived.IsCancelled()) std::this_thread::yield();
  release_.Notify();
  server_->Shutdown();  // returns when the call has ended
  EXPECT_FALSE(service_.ran);
  const auto rows = Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].status, usage::RequestStatus::kCancelled);
  EXPECT_EQ(rows[0].error_reason, "CANCELLED");
}

TEST_F(CallTest, ACallThatFindsNoPlaceInTheQueueIsRefusedAndHasItsRow) {
  absl::Notification occupied;  // only then does the queue behind it stay as full as it is made
  ASSERT_TRUE(executor_.TrySubmit([&] {
    occupied.Notify();
    release_.WaitForNotification();
  }));
  occupied.WaitForNotification();
  while (executor_.TrySubmit([] {})) {
  }
  grpc::ClientContext context;
  v1::Job job;
  EXPECT_EQ(stub_->GetJob(&context, {}, &job).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  release_.Notify();
  server_->Shutdown();
  EXPECT_FALSE(service_.ran);
  const auto rows = Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].status, usage::RequestStatus::kError);
  EXPECT_EQ(rows[0].error_reason, "OVERLOADED");
}

TEST_F(CallTest, OfTwoTraceparentsNoneCounts) {
  constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
  const std::string parent = absl::StrCat("00-", kTrace, "-00f067aa0ba902b7-00");
  for (const int count : {1, 2}) {
    grpc::ClientContext context;
    for (int i = 0; i < count; ++i) context.AddMetadata("traceparent", parent);
    v1::Job job;
    EXPECT_TRUE(stub_->GetJob(&context, {}, &job).ok());
  }
  server_->Shutdown();
  const auto rows = Rows();  // newest first
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_NE(rows[0].trace_id, kTrace);
  EXPECT_EQ(rows[1].trace_id, kTrace);
}

}  // namespace
}  // namespace aibackend::rpc
