// A collector in this process, whose answers the test gives.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace aibackend::otlp {

// Thread-safe.
class FakeCollector final
    : public opentelemetry::proto::collector::trace::v1::TraceService::Service {
 public:
  using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
  using Response = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
  using Answer = std::function<grpc::Status(grpc::ServerContext*, Response*)>;

  FakeCollector() { Open(); }
  ~FakeCollector() override { Close(); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

  // Away, and there again, at the same address.
  void Close() {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }
  void Open() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  // For the next calls, one each; after them all are OK.
  void Next(Answer answer) {
    absl::MutexLock lock(&mutex_);
    answers_.push_back(std::move(answer));
  }

  grpc::Status Export(grpc::ServerContext* context, const Request* request,
                      Response* response) override {
    Answer answer;
    {
      absl::MutexLock lock(&mutex_);
      ++calls_;
      if (!answers_.empty()) {
        answer = std::move(answers_.front());
        answers_.pop_front();
      }
    }
    const grpc::Status status = answer ? answer(context, response) : grpc::Status::OK;
    absl::MutexLock lock(&mutex_);
    if (status.ok()) requests_.push_back(*request);
    return status;
  }

  // What was taken, once it is so many calls; fewer after ten seconds.
  std::vector<Request> WaitForRequests(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return requests_.size() >= count;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
    return requests_;
  }
  bool WaitForCalls(int count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return calls_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
  }
  int calls() {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::deque<Answer> answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace aibackend::otlp
