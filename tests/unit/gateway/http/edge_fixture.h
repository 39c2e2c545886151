// An edge on a free port, whose handler is the test's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/http/edge.h"
#include "gtest/gtest.h"
#include "raw_client.h"

namespace aibackend::gateway {

// Long enough for a busy machine under a sanitizer; reached only when something is wrong.
constexpr std::chrono::seconds kWatchdog{60};

// Where a handler leaves exchanges for the test to answer.
class ExchangeBox {
 public:
  void Put(std::shared_ptr<Exchange> exchange) {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(exchange));
    changed_.notify_all();
  }
  // Null if none comes.
  std::shared_ptr<Exchange> Take() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, kWatchdog, [this] { return !waiting_.empty(); })) return nullptr;
    std::shared_ptr<Exchange> exchange = std::move(waiting_.front());
    waiting_.pop_front();
    return exchange;
  }
  size_t size() {
    std::lock_guard<std::mutex> lock(mutex_);
    return waiting_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Exchange>> waiting_;
};

class Signal {
 public:
  void Set() {
    std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  bool Wait(int times = 1) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, kWatchdog, [&] { return count_ >= times; });
  }
  int count() {
    std::lock_guard<std::mutex> lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

class EdgeTest : public ::testing::Test {
 protected:
  void Start(Edge::Handler handler) {
    options_.port = 0;
    if (!options_.refusal_answer) {
      options_.refusal_answer = [](Refusal refusal, const std::string& message) {
        return std::make_pair(HeaderList{{"Content-Type", "application/json"}},
                              "{\"refusal\":" + std::to_string(static_cast<int>(refusal)) +
                                  ",\"message\":\"" + message + "\"}");
      };
    }
    auto edge = Edge::Start(options_, std::move(handler));
    ASSERT_TRUE(edge.ok()) << edge.status();
    edge_ = *std::move(edge);
  }
  // Answers each request with its body.
  void StartEcho() {
    Start([](std::shared_ptr<Exchange> exchange) {
      exchange->Respond(200, {}, exchange->request().body);
    });
  }
  // Keeps each request in box_.
  void StartDeferred() {
    Start([this](std::shared_ptr<Exchange> exchange) { box_.Put(std::move(exchange)); });
  }

  int port() const { return edge_->port(); }

  static std::string Get(std::string_view target, std::string_view more = "") {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more) +
           "\r\n";
  }
  static std::string Post(std::string_view body, std::string_view more = "") {
    return "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + std::string(more) + "\r\n" + std::string(body);
  }

  EdgeOptions options_;
  ExchangeBox box_;
  std::unique_ptr<Edge> edge_;
};

}  // namespace aibackend::gateway
