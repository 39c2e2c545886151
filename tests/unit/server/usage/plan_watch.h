// A database that asks for the plan of every statement that goes through it.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/storage/database.h"

namespace aibackend::usage {

// For one thread.
class PlanWatch final : public storage::Database {
 public:
  explicit PlanWatch(storage::Database& real) : real_(real) {}

  absl::Status Read(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return real_.Read([&](storage::Session& session) {
      Watched watched(session, plans);
      return work(watched);
    });
  }
  absl::Status Write(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return real_.Write([&](storage::Session& session) {
      Watched watched(session, plans);
      return work(watched);
    });
  }

  // The steps of all plans since the last call, a line each.
  std::string Take() {
    std::string text;
    for (const std::string& step : plans) absl::StrAppend(&text, step, "\n");
    plans.clear();
    return text;
  }

  std::vector<std::string> plans;

 private:
  class Watched final : public storage::Session {
   public:
    Watched(storage::Session& real, std::vector<std::string>& plans) : real_(real), plans_(plans) {}

    absl::StatusOr<int64_t> Execute(absl::string_view sql,
                                    absl::Span<const storage::Value> parameters) override {
      Explain(sql, parameters);
      return real_.Execute(sql, parameters);
    }
    absl::Status Query(absl::string_view sql, absl::Span<const storage::Value> parameters,
                       absl::FunctionRef<void(const storage::Row&)> on_row) override {
      Explain(sql, parameters);
      return real_.Query(sql, parameters, on_row);
    }

   private:
    void Explain(absl::string_view sql, absl::Span<const storage::Value> parameters) {
      const absl::Status status =
          real_.Query(absl::StrCat("EXPLAIN QUERY PLAN ", sql), parameters,
                      [&](const storage::Row& row) { plans_.push_back(row.Text(3)); });
      if (!status.ok()) plans_.push_back(status.ToString());
    }

    storage::Session& real_;
    std::vector<std::string>& plans_;
  };

  storage::Database& real_;
};

}  // namespace aibackend::usage
