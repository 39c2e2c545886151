// Which model costs what, now and before.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "server/base/clock.h"
#include "server/storage/database.h"
#include "server/usage/periodic.h"
#include "server/usage/prices.h"

namespace aibackend::usage {

enum class PriceSource { kFile, kApi };

// As it stands in the database and in the contract: "file", "api".
const char* PriceSourceName(PriceSource source);

struct Price {
  std::string model;
  int64_t version = 0;  // rises with each new price of any model
  absl::Time effective_at;
  PriceValues values;
  PriceSource source = PriceSource::kApi;
};

struct Priced {
  NanoUsd cost;
  int64_t price_version = 0;  // 0: no price of the book was applied
  bool unknown = false;       // the model has no price, and `cost` says nothing
};

// Thread-safe. Of each model the price with the greatest version is in force. Those are kept in
// memory: Cost, UpperBound and DearestPerMillion never touch the database, and answer while it is
// away. A price that another process writes to the same database is in force here within `poll`.
class PriceBook {
 public:
  struct Options {
    absl::Duration poll = absl::Seconds(1);
  };

  // Reads all prices in force. `database` and `clock` outlive the book.
  static absl::StatusOr<std::unique_ptr<PriceBook>> Open(storage::Database& database, Clock& clock,
                                                         Options options);
  ~PriceBook();

  // Call these two at start. A free model costs nothing unless it is given a price; its
  // price_version is 0, and it isn't unknown.
  void AddFree(const std::string& model);
  // Takes the prices of the settings: one that differs from the model's latest with source "file"
  // becomes a new version. So a price set by the API stays in force until the file's changes.
  // Fails with FIELD_OUT_OF_RANGE, or as the database does, and then takes none.
  absl::Status UseFile(const std::map<std::string, PriceValues>& prices);

  // A new version, in force when this returns, also where the values are those of before. Blocks.
  // Fails with FIELD_REQUIRED (model), FIELD_OUT_OF_RANGE, or as the database does.
  absl::StatusOr<Price> Set(const std::string& model, const PriceValues& values,
                            PriceSource source);

  // By model, the newest first; `model` empty: of all; without `history` only those in force.
  // Blocks.
  absl::StatusOr<std::vector<Price>> List(const std::string& model, bool history);
  // Absent: there is none with this version. Blocks.
  absl::StatusOr<absl::optional<Price>> Find(int64_t version);

  Priced Cost(absl::string_view model, const Tokens& tokens) const;
  // The most that such a request can cost whichever of `models` answers it (a model and its
  // fallbacks); absent where one of them has no price.
  absl::optional<NanoUsd> UpperBound(absl::Span<const std::string> models, int64_t prompt_tokens,
                                     int64_t completion_tokens) const;
  // What a million tokens cost at most, whatever they are and whichever of `models` makes them;
  // absent as above.
  absl::optional<int64_t> DearestPerMillion(absl::Span<const std::string> models) const;

 private:
  struct InForce {
    PriceValues values;
    int64_t version = 0;
  };
  struct Snapshot {
    int64_t version = 0;  // the greatest of any model
    absl::flat_hash_map<std::string, InForce> by_model;
  };

  PriceBook(storage::Database& database, Clock& clock);

  absl::Status Poll();
  absl::Status Load();
  absl::StatusOr<Price> Insert(storage::Session& session, const std::string& model,
                               const PriceValues& values, PriceSource source);
  absl::optional<InForce> Of(absl::string_view model) const;

  storage::Database& database_;
  Clock& clock_;
  mutable absl::Mutex mutex_;
  Snapshot snapshot_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, InForce> free_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Periodic> polling_;  // last: it uses the others
};

}  // namespace aibackend::usage
