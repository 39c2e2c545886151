// A key store over real SQLite, with a clock that stands.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/access/key_store.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::access {

inline constexpr absl::Duration kLong = absl::Seconds(60);
inline constexpr absl::Duration kNever = absl::Hours(1);  // no poll during a test

// A database that a test takes away.
class FickleDatabase final : public storage::Database {
 public:
  explicit FickleDatabase(const std::string& path)
      : real_(*storage::OpenSqlite(path, {4, absl::Milliseconds(20)})) {}

  absl::Status Read(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return is_away ? Away() : real_->Read(work);
  }
  absl::Status Write(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return is_away ? Away() : real_->Write(work);
  }

  std::atomic<bool> is_away{false};

 private:
  static absl::Status Away() { return MakeError(Reason::DATABASE_UNAVAILABLE, "away"); }
  const std::unique_ptr<storage::Database> real_;
};

inline Limits PerMinute(int64_t requests) {
  Limits limits;
  limits.requests_per_minute = requests;
  return limits;
}

class KeyStoreTest : public ::testing::Test {
 protected:
  KeyStoreTest() : database_(Path()) { keys_ = Open(database_, kNever); }

  std::string Path() { return folder_.File("test.sqlite"); }

  std::unique_ptr<KeyStore> Open(storage::Database& database, absl::Duration poll_interval,
                                 KeyStore::Defaults defaults = {}) {
    auto opened = KeyStore::Open(database, clock_, ids_, {poll_interval, defaults});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }

  std::shared_ptr<const Principal> Find(const std::string& key) {
    return keys_->Find(DigestOf(key));
  }

  NewKey Create(const KeySpec& spec = {}) {
    auto made = keys_->Create(spec);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  void Run(storage::Database& database, const std::string& sql,
           std::vector<storage::Value> parameters = {}) {
    const absl::Status done = database.Write(
        [&](storage::Session& session) { return session.Execute(sql, parameters).status(); });
    ASSERT_TRUE(done.ok()) << done;
  }

  TempFolder folder_;
  FakeClock clock_;
  UlidSource ids_{clock_};
  FickleDatabase database_;
  std::unique_ptr<KeyStore> keys_;
};

}  // namespace aibackend::access
