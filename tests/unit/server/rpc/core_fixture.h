// What the tests of the gRPC edge stand on: a whole core over real SQLite, open to everybody,
// without models.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/base/timer.h"
#include "server/rpc/answer_codec.h"
#include "server/rpc/core.h"
#include "server/storage/database.h"
#include "server/storage/group_writer.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::rpc {

class NothingSpent final : public access::SpentSource {
 public:
  absl::StatusOr<access::Spent> SpentBy(const access::Subject&, absl::Time, absl::Time) override {
    return access::Spent();
  }
};

class CoreFixture : public ::testing::Test {
 protected:
  CoreFixture(int threads, size_t queue_max, const std::vector<guard::Rule>& rules = {})
      : rails_(*guard::Guardrails::Build(rules)), executor_(threads, queue_max) {}

  chat::ChatService::Options ChatOptions() {
    chat::ChatService::Options options;
    options.guardrails = &rails_;
    options.on_guarded = [this](const std::vector<std::string>&) { ++guarded_; };
    return options;
  }

  std::vector<usage::RequestRow> Rows() {
    EXPECT_TRUE(writer_.Flush(absl::Seconds(60)));
    return ledger_.List({}, 1000, "")->rows;
  }

  const guard::Guardrails rails_;
  std::atomic<int> guarded_{0};  // texts that rules had something to do with
  TempFolder folder_;
  SystemClock clock_;
  UlidSource ids_{clock_};
  std::unique_ptr<storage::Database> database_ = *storage::OpenSqlite(folder_.File("test.sqlite"));
  storage::GroupWriter writer_{*database_, {}};
  usage::Ledger ledger_{*database_, writer_, {}};
  std::unique_ptr<usage::PriceBook> prices_ = *usage::PriceBook::Open(*database_, clock_, {});
  usage::Rollup rollup_{*database_, {}};
  usage::Summarizer summaries_{*database_, rollup_, clock_};
  std::unique_ptr<access::KeyStore> keys_ =
      *access::KeyStore::Open(*database_, clock_, ids_, access::KeyStore::Options());
  access::Authenticator authenticator_{"", keys_.get(), nullptr};
  NothingSpent spent_;
  std::unique_ptr<access::Meter> meter_ =
      access::Meter::Make(clock_, *keys_, spent_, access::Meter::Options());
  std::unique_ptr<retrieval::DocumentStore> documents_ =
      *retrieval::DocumentStore::Open(*database_, clock_);
  absl::Notification release_;  // of what a test holds up the executor with
  Executor executor_;
  models::ModelCatalog models_;
  telemetry::Metrics metrics_{telemetry::Metrics::Options()};
  telemetry::Tracer tracer_{nullptr, 0};
  chat::ChatService chat_{models_, *documents_, executor_, clock_, ChatOptions()};
  jobs::JobQueue job_queue_{*database_, clock_};
  jobs::JobRunner job_runner_{job_queue_, ids_, clock_, {}, {}};
  Timer timer_;
  chat::KeptAnswers kept_answers_{*database_, writer_, clock_, MakeAnswerCodec()};
  std::unique_ptr<chat::KeyedTurns> keyed_turns_ = std::make_unique<chat::KeyedTurns>(
      chat_, kept_answers_, executor_, timer_, clock_, chat::KeyedTurns::Options());
  MethodScopes scopes_ = *MethodScopes::OfContract();
  TrustedProxies proxies_ = *TrustedProxies::Parse({});
  Core core_{authenticator_,
             /*key_required=*/false,
             scopes_,
             proxies_,
             *meter_,
             *keys_,
             clock_,
             ids_,
             executor_,
             ledger_,
             *prices_,
             summaries_,
             /*quota_answer_tokens=*/1000,
             metrics_,
             tracer_,
             models_,
             chat_,
             *documents_,
             job_queue_,
             job_runner_,
             *keyed_turns_};
};

}  // namespace aibackend::rpc
