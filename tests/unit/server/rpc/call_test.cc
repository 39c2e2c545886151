#include "server/rpc/call.h"

#include <atomic>
#include <memory>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "gtest/gtest.h"
#include "server/rpc/answer_codec.h"
#include "server/storage/database.h"
#include "server/storage/group_writer.h"
#include "tests/unit/temp_folder.h"

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

class CallTest : public ::testing::Test {
 protected:
  CallTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::AiBackend::NewStub(server_->InProcessChannel({}));
  }

  std::vector<usage::RequestRow> Rows() {
    EXPECT_TRUE(writer_.Flush(absl::Seconds(60)));
    return ledger_.List(1000, "")->rows;
  }

  TempFolder folder_;
  SystemClock clock_;
  UlidSource ids_{clock_};
  std::unique_ptr<storage::Database> database_ = *storage::OpenSqlite(folder_.File("test.sqlite"));
  storage::GroupWriter writer_{*database_, {}};
  usage::Ledger ledger_{*database_, writer_, {}};
  std::unique_ptr<retrieval::DocumentStore> documents_ =
      *retrieval::DocumentStore::Open(*database_, clock_);
  absl::Notification release_;  // of what holds up the executor
  Executor executor_{1, 10};
  models::ModelCatalog models_;
  chat::ChatService chat_{models_, *documents_, executor_, clock_, {}};
  jobs::JobQueue job_queue_{*database_, clock_};
  jobs::JobRunner job_runner_{job_queue_, ids_, clock_, {}, {}};
  Timer timer_;
  chat::KeptAnswers kept_answers_{*database_, writer_, clock_, MakeAnswerCodec()};
  chat::KeyedTurns keyed_turns_{chat_, kept_answers_, executor_, timer_, clock_, {}};
  access::Gatekeeper gatekeeper_{""};
  Core core_{gatekeeper_, clock_,      ids_,       executor_,   ledger_,     models_,
             chat_,       *documents_, job_queue_, job_runner_, keyed_turns_};
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

}  // namespace
}  // namespace aibackend::rpc
