// A million requests of thirty days: how long it takes to count them into usage_daily, and then to
// sum them up each way. Prints a table; a program of its own, because making the rows takes a
// while.
//
//   usage_summary_bench [rows] [independent]
//
// A user has a key of the 50, as one application is a key; with "independent" any user uses any
// key, which makes as many combinations as there are requests.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/usage/rollup.h"
#include "server/usage/summary.h"

namespace aibackend::usage {
namespace {

constexpr int kDays = 30;
constexpr int kBatch = 10'000;  // rows a transaction, of those that are made

constexpr char kInsert[] =
    "INSERT INTO requests (row_id, request_id, created_at, endpoint, user_id, model, status,"
    " prompt, response, prompt_bytes, response_bytes, prompt_tokens, completion_tokens,"
    " usage_estimated, cost_nano_usd, response_time_ms, ttft_ms, error_reason, key_id)"
    " VALUES ($1, $1, $2, $3, $4, $5, $6, '', '', 300, 1200, $7, $8, 0, $9, $10, $11, '', $12)";

class Rows {
 public:
  Rows(int count, bool independent) : count_(count), independent_(independent) {}

  std::vector<storage::Value> Next() {
    const int user = Skewed(500);
    const int key = independent_ ? static_cast<int>(random_() % 50) : user % 50;
    const auto endpoint = static_cast<int>(random_() % 10);
    const bool is_chat = endpoint < 9;
    const int64_t since = int64_t{kDays} * 86'400'000'000 / count_ * made_;
    const int64_t at =
        absl::ToUnixMicros(absl::Now()) - int64_t{kDays - 1} * 86'400'000'000 + since;
    const auto latency = static_cast<int64_t>(latency_(random_));
    return {absl::StrCat("req_01JD", absl::Dec(made_++, absl::kZeroPad18)),
            std::min(at, absl::ToUnixMicros(absl::Now())),
            std::string(endpoint < 6 ? "ChatStream"
                        : is_chat    ? "Chat"
                                     : "Embed"),
            absl::StrCat("user-", user),
            absl::StrCat("model-", Skewed(8)),
            std::string(random_() % 50 == 0 ? "ERROR" : "OK"),
            static_cast<int64_t>(random_() % 3000),
            static_cast<int64_t>(random_() % 800),
            static_cast<int64_t>(random_() % 10'000'000),
            latency,
            is_chat ? latency / 5 : 0,
            absl::StrCat("key_", key)};
  }

 private:
  // Most are the first few: a log-uniform rank.
  int Skewed(int of) {
    return static_cast<int>(std::exp(uniform_(random_) * std::log(of + 1.0))) - 1;
  }

  const int count_;
  const bool independent_;
  int64_t made_ = 0;
  std::mt19937_64 random_{1};
  std::uniform_real_distribution<double> uniform_{0, 1};
  std::lognormal_distribution<double> latency_{6.8, 0.7};
};

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

double Milliseconds(const std::function<void()>& work) {
  const absl::Time start = absl::Now();
  work();
  return absl::ToDoubleMilliseconds(absl::Now() - start);
}

void Fill(storage::Database& database, int count, bool independent) {
  Rows rows(count, independent);
  for (int made = 0; made < count; made += kBatch) {
    const int batch = std::min(kBatch, count - made);
    Check(database.Write([&](storage::Session& session) -> absl::Status {
      for (int i = 0; i < batch; ++i) {
        const auto put = session.Execute(kInsert, rows.Next());
        if (!put.ok()) return put.status();
      }
      return absl::OkStatus();
    }));
  }
}

int64_t Count(storage::Database& database, const std::string& where) {
  int64_t count = 0;
  Check(database.Read([&](storage::Session& session) {
    return session.Query("SELECT COUNT(*) FROM usage_daily WHERE " + where, {},
                         [&](const storage::Row& row) { count = row.Int(0); });
  }));
  return count;
}

double CpuMilliseconds() {
  return 1e3 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

void Measure(Summarizer& summarizer, const char* name, const SummaryQuery& query) {
  constexpr int kRuns = 5;
  std::array<double, kRuns> times = {};
  size_t groups = 0;
  const double cpu_before = CpuMilliseconds();
  for (double& time : times) {
    time = Milliseconds([&] {
      const auto summary = summarizer.Summarize(query);
      Check(summary.status());
      groups = summary->groups.size();
    });
  }
  const double cpu = (CpuMilliseconds() - cpu_before) / kRuns;
  std::sort(times.begin(), times.end());
  std::printf("| %s | %zu | %.1f ms | %.1f ms | %.1f ms |\n", name, groups, times[kRuns / 2],
              times[kRuns - 1], cpu);
}

void Run(int count, bool independent, const std::string& path) {
  auto database = storage::OpenSqlite(path);
  Check(database.status());
  SystemClock clock;
  Fill(**database, count, independent);
  Rollup rollup(**database, {});
  const double rolled_ms = Milliseconds([&] { Check(rollup.RollNow(absl::Hours(1))); });
  std::printf(
      "%d requests counted in %.1f s: %.0f/s; usage_daily has %lld rows, %lld of them of"
      " all dimensions\n\n| summary | groups | median of 5 | worst | CPU "
      "|\n|---|---|---|---|---|\n",
      count, rolled_ms / 1000, count / rolled_ms * 1000,
      static_cast<long long>(Count(**database, "grain >= 0")),
      static_cast<long long>(Count(**database, "grain = 15")));
  Summarizer summarizer(**database, rollup, clock);
  Measure(summarizer, "nothing", {});
  Measure(summarizer, "day", {{Dimension::kDay}});
  Measure(summarizer, "tenant", {{Dimension::kTenant}});
  Measure(summarizer, "model", {{Dimension::kModel}});
  Measure(summarizer, "user", {{Dimension::kUser}});
  Measure(summarizer, "key", {{Dimension::kKey}});
  Measure(summarizer, "endpoint", {{Dimension::kEndpoint}});
  Measure(summarizer, "model and day", {{Dimension::kModel, Dimension::kDay}});
  Measure(summarizer, "user and day", {{Dimension::kUser, Dimension::kDay}});
  SummaryQuery of_user{{Dimension::kDay}};
  of_user.user_id = "user-7";
  Measure(summarizer, "day, of a user", of_user);
  of_user.group_by = {Dimension::kModel};
  Measure(summarizer, "model, of a user", of_user);
  Measure(summarizer, "model and user", {{Dimension::kModel, Dimension::kUser}});
}

}  // namespace
}  // namespace aibackend::usage

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 1'000'000;
  const bool independent = argc > 2 && std::string(argv[2]) == "independent";
  const auto folder =
      std::filesystem::temp_directory_path() / ("aib_bench_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  aibackend::usage::Run(std::max(count, 1), independent, (folder / "bench.db").string());
  std::filesystem::remove_all(folder);
}
