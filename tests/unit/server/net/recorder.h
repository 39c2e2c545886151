// What the tests of the HTTP client share: a handler that remembers, and one exchange to its end.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/net/http_client.h"
#include "tests/unit/server/net/scripted_server.h"

namespace aibackend::net {

inline constexpr absl::Duration kPatience =
    absl::Seconds(60);  // never reached by a test that passes

// Keeps what it is told; the test's thread waits for it.
class Recorder : public HttpHandler {
 public:
  void OnHeaders(int status,
                 const std::vector<std::pair<std::string, std::string>>& headers) override {
    absl::MutexLock lock(&mutex_);
    status_ = status;
    headers_ = headers;
    ++header_calls_;
  }
  void OnBody(absl::string_view data) override {
    absl::MutexLock lock(&mutex_);
    body_.append(data.data(), data.size());
  }
  void OnDone(absl::Status status) override {
    absl::MutexLock lock(&mutex_);
    thread_ = std::this_thread::get_id();
    done_ = std::move(status);
    ++done_calls_;
  }

  absl::Status WaitDone() {
    absl::MutexLock lock(&mutex_);
    const bool in_time =
        mutex_.AwaitWithTimeout(absl::Condition(
                                    +[](int* calls) { return *calls > 0; }, &done_calls_),
                                kPatience);
    EXPECT_TRUE(in_time) << "no OnDone";
    return done_;
  }
  void WaitBody(absl::string_view text) {
    absl::MutexLock lock(&mutex_);
    const auto has = [&] { return absl::StrContains(body_, text); };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&has), kPatience)) << "no " << text;
  }
  bool is_done() {
    absl::MutexLock lock(&mutex_);
    return done_calls_ > 0;
  }
  // These may be read without the lock after WaitDone().
  int status() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return status_; }
  const std::string& body() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return body_; }
  const auto& headers() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return headers_; }
  int header_calls() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return header_calls_; }
  int done_calls() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return done_calls_; }
  std::thread::id thread() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return thread_; }

 private:
  absl::Mutex mutex_;
  int status_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<std::string, std::string>> headers_ ABSL_GUARDED_BY(mutex_);
  std::string body_ ABSL_GUARDED_BY(mutex_);
  absl::Status done_ ABSL_GUARDED_BY(mutex_);
  int header_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int done_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread::id thread_ ABSL_GUARDED_BY(mutex_);
};

inline HttpRequest Post(std::string url, std::string body = "{}") {
  HttpRequest request;
  request.url = std::move(url);
  request.body = std::move(body);
  return request;
}

// One request against one script, to its end.
struct Exchange {
  explicit Exchange(testing::ScriptedServer::Script script) : server(std::move(script)) {}

  absl::Status Run() { return Run(Post(server.url())); }
  absl::Status Run(HttpRequest request) {
    client.Start(std::move(request), recorder);
    return recorder->WaitDone();
  }

  testing::ScriptedServer server;
  HttpClient client{HttpClient::Options()};
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
};

// A script that reads one request, sends `bytes` and closes.
inline testing::ScriptedServer::Script Answering(std::string bytes) {
  return [bytes = std::move(bytes)](testing::Connection& connection) {
    connection.ReadRequest();
    connection.Send(bytes);
  };
}

}  // namespace aibackend::net
