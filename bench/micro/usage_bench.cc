// What a request pays for its ledger row: the queueing, not the commit.
#include <filesystem>

#include "benchmark/benchmark.h"
#include "server/usage/ledger.h"

namespace aibackend::usage {
namespace {

void BM_LedgerBeginEnd(benchmark::State& state) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("aib_bench_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  {
    auto database = storage::OpenSqlite((folder / "bench.db").string());
    storage::GroupWriter writer(**database, {});
    Ledger ledger(**database, writer, {});
    SystemClock clock;
    UlidSource ids(clock);
    RequestRow row;
    row.endpoint = "Chat";
    row.prompt = std::string(80, 'p');
    row.response = std::string(400, 'r');
    for (auto _ : state) {
      row.row_id = ids.Next("");
      row.created_at = clock.Now();
      row.status = RequestStatus::kRunning;
      ledger.Begin(row);
      row.status = RequestStatus::kOk;
      ledger.End(row);
    }
    state.SetItemsProcessed(state.iterations());
    writer.Flush(absl::Seconds(60));
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_LedgerBeginEnd)->Iterations(100'000);

}  // namespace
}  // namespace aibackend::usage
