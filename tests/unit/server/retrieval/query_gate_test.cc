#include "server/retrieval/query_gate.h"

#include <atomic>
#include <random>
#include <thread>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/retrieval/vector_index.h"

namespace aibackend::retrieval {
namespace {

// Answers a query with its own first number as the score.
void Echo(const VectorQuery* queries, size_t count, TopRows* results) {
  for (size_t i = 0; i < count; ++i) results[i].rows = {{0, queries[i].vector[0]}};
}

float Ask(QueryGate& gate, float number) {
  return gate.Search({&number, 1, nullptr}).rows.front().score;
}

TEST(QueryGateTest, ALoneQueryRunsAtOnceInItsCallersThread) {
  std::thread::id ran_in;
  QueryGate gate(
      [&](const VectorQuery* queries, size_t count, TopRows* results) {
        ran_in = std::this_thread::get_id();
        EXPECT_EQ(count, 1U);
        Echo(queries, count, results);
      },
      32, 1);
  EXPECT_EQ(Ask(gate, 5), 5);
  EXPECT_EQ(ran_in, std::this_thread::get_id());
  EXPECT_EQ(Ask(gate, 6), 6);
}

TEST(QueryGateTest, WhatQueuedWhileABatchRanBecomesTheNextUpToTheBound) {
  constexpr size_t kBatchMax = 4;
  constexpr size_t kCallers = 10;
  absl::Notification may_go_on;
  std::vector<size_t> batches;  // one lane: scans follow each other
  QueryGate gate(
      [&](const VectorQuery* queries, size_t count, TopRows* results) {
        batches.push_back(count);
        may_go_on.WaitForNotification();
        Echo(queries, count, results);
      },
      kBatchMax, 1);
  std::vector<std::thread> callers;
  for (size_t i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] { EXPECT_EQ(Ask(gate, i), i); });
  }
  while (gate.waiting() < kCallers - 1) std::this_thread::yield();
  may_go_on.Notify();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(batches, (std::vector<size_t>{1, 4, 4, 1}));
  EXPECT_EQ(gate.waiting(), 0U);
}

TEST(QueryGateTest, LanesRunSideBySide) {
  // Each scan waits for the other: with one lane this would never end.
  absl::Barrier* both = new absl::Barrier(2);
  QueryGate gate(
      [&](const VectorQuery* queries, size_t count, TopRows* results) {
        Echo(queries, count, results);
        if (both->Block()) delete both;
      },
      32, 2);
  std::thread other([&] { EXPECT_EQ(Ask(gate, 1), 1); });
  EXPECT_EQ(Ask(gate, 2), 2);
  other.join();
}

TEST(QueryGateTest, ManyThreadsEachGetTheirOwnAnswer) {
  constexpr size_t kDimensions = 16;
  constexpr int kThreads = 12;
  constexpr int kQueries = 300;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  VectorIndex index(kDimensions);
  std::vector<float> vector(kDimensions);
  for (int row = 0; row < 1500; ++row) {
    for (float& x : vector) x = normal(random);
    index.Add(vector.data());
  }
  for (const size_t lanes : {1, 3}) {
    std::atomic<size_t> scanned{0};
    std::atomic<size_t> running{0};
    QueryGate gate(
        [&](const VectorQuery* queries, size_t count, TopRows* results) {
          EXPECT_LE(++running, lanes);
          EXPECT_LE(count, 8U);
          scanned += count;
          index.Search(queries, count, results);
          --running;
        },
        8, lanes);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kQueries; ++i) {
          // A row's own vector as the query, and an answer of a size of its own.
          const float* row = index.Row((thread * 131 + i * 7) % index.size());
          const VectorQuery query{row, 1 + static_cast<size_t>(thread), nullptr};
          TopRows alone;
          index.Search(&query, 1, &alone);
          ASSERT_EQ(gate.Search(query).rows, alone.rows);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(scanned, size_t{kThreads * kQueries});
  }
}

}  // namespace
}  // namespace aibackend::retrieval
