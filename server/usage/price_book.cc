#include "server/usage/price_book.h"

#include <algorithm>
#include <utility>

#include "server/base/status.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

#define AIB_PRICE_COLUMNS \
  "version, model, effective_at, input, output, cached_input, reasoning, source"

constexpr char kInsert[] =
    "INSERT INTO prices (model, effective_at, input, output, cached_input, reasoning, source)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING version";

constexpr char kInForce[] = "SELECT " AIB_PRICE_COLUMNS
                            " FROM prices"
                            " WHERE version IN (SELECT MAX(version) FROM prices GROUP BY model)"
                            " AND ($1 = '' OR model = $1) ORDER BY model";

constexpr char kHistory[] = "SELECT " AIB_PRICE_COLUMNS
                            " FROM prices"
                            " WHERE $1 = '' OR model = $1 ORDER BY model, version DESC";

constexpr char kByVersion[] = "SELECT " AIB_PRICE_COLUMNS " FROM prices WHERE version = $1";

constexpr char kLatestOfFile[] = "SELECT " AIB_PRICE_COLUMNS
                                 " FROM prices"
                                 " WHERE model = $1 AND source = 'file'"
                                 " ORDER BY version DESC LIMIT 1";

constexpr char kGreatestVersion[] = "SELECT COALESCE(MAX(version), 0) FROM prices";

Price ReadPrice(const Row& row) {
  Price price;
  price.version = row.Int(0);
  price.model = row.Text(1);
  price.effective_at = absl::FromUnixMicros(row.Int(2));
  price.values.input = row.Int(3);
  price.values.output = row.Int(4);
  if (!row.IsNull(5)) price.values.cached_input = row.Int(5);
  if (!row.IsNull(6)) price.values.reasoning = row.Int(6);
  price.source =
      row.Text(7) == PriceSourceName(PriceSource::kFile) ? PriceSource::kFile : PriceSource::kApi;
  return price;
}

absl::Status ReadPrices(Session& session, const char* sql, const std::vector<Value>& parameters,
                        std::vector<Price>& prices) {
  prices.clear();
  return session.Query(sql, parameters, [&](const Row& row) { prices.push_back(ReadPrice(row)); });
}

Value OrNull(const absl::optional<int64_t>& value) {
  if (value) return *value;
  return nullptr;
}

}  // namespace

const char* PriceSourceName(PriceSource source) {
  return source == PriceSource::kFile ? "file" : "api";
}

PriceBook::PriceBook(storage::Database& database, Clock& clock)
    : database_(database), clock_(clock) {}

PriceBook::~PriceBook() = default;

absl::StatusOr<std::unique_ptr<PriceBook>> PriceBook::Open(storage::Database& database,
                                                           Clock& clock, Options options) {
  std::unique_ptr<PriceBook> book(new PriceBook(database, clock));
  AIB_RETURN_IF_ERROR(book->Load());
  book->polling_ = std::make_unique<Periodic>("looking for new prices", options.poll,
                                              [raw = book.get()] { return raw->Poll(); });
  return book;
}

void PriceBook::AddFree(const std::string& model) {
  absl::MutexLock lock(&mutex_);
  free_[model] = {};
}

absl::Status PriceBook::UseFile(const std::map<std::string, PriceValues>& prices) {
  for (const auto& [model, values] : prices) AIB_RETURN_IF_ERROR(CheckPrice(values));
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
    for (const auto& [model, values] : prices) {
      std::vector<Price> latest;
      AIB_RETURN_IF_ERROR(ReadPrices(session, kLatestOfFile, {model}, latest));
      if (!latest.empty() && latest[0].values == values) continue;
      AIB_RETURN_IF_ERROR(Insert(session, model, values, PriceSource::kFile).status());
    }
    return absl::OkStatus();
  }));
  return Load();
}

absl::StatusOr<Price> PriceBook::Set(const std::string& model, const PriceValues& values,
                                     PriceSource source) {
  if (model.empty()) {
    return MakeError(Reason::FIELD_REQUIRED, "must name the model, as ListModels does", "model");
  }
  AIB_RETURN_IF_ERROR(CheckPrice(values));
  Price price;
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(price, Insert(session, model, values, source));
    return absl::OkStatus();
  }));
  // What others wrote before it stays for the poll, so the snapshot's version doesn't move.
  absl::MutexLock lock(&mutex_);
  InForce& in_force = snapshot_.by_model[model];
  if (in_force.version < price.version) in_force = {values, price.version};
  return price;
}

absl::StatusOr<std::vector<Price>> PriceBook::List(const std::string& model, bool history) {
  std::vector<Price> prices;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    return ReadPrices(session, history ? kHistory : kInForce, {model}, prices);
  }));
  return prices;
}

absl::StatusOr<absl::optional<Price>> PriceBook::Find(int64_t version) {
  std::vector<Price> prices;
  AIB_RETURN_IF_ERROR(database_.Read(
      [&](Session& session) { return ReadPrices(session, kByVersion, {version}, prices); }));
  if (prices.empty()) return absl::optional<Price>();
  return absl::optional<Price>(std::move(prices[0]));
}

Priced PriceBook::Cost(absl::string_view model, const Tokens& tokens) const {
  const absl::optional<InForce> price = Of(model);
  if (!price) return {NanoUsd{}, 0, true};
  return {CostOf(price->values, tokens), price->version, false};
}

absl::optional<NanoUsd> PriceBook::UpperBound(absl::Span<const std::string> models,
                                              int64_t prompt_tokens,
                                              int64_t completion_tokens) const {
  NanoUsd most;
  for (const std::string& model : models) {
    const absl::optional<InForce> price = Of(model);
    if (!price) return absl::nullopt;
    const NanoUsd bound = MostOf(price->values, prompt_tokens, completion_tokens);
    most.value = std::max(most.value, bound.value);
  }
  return most;
}

absl::optional<int64_t> PriceBook::DearestPerMillion(absl::Span<const std::string> models) const {
  int64_t dearest = 0;
  for (const std::string& model : models) {
    const absl::optional<InForce> price = Of(model);
    if (!price) return absl::nullopt;
    const PriceValues& values = price->values;
    dearest = std::max({dearest, values.input, values.output, values.cached(), values.reasoned()});
  }
  return dearest;
}

absl::Status PriceBook::Poll() {
  int64_t greatest = 0;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    return session.Query(kGreatestVersion, {}, [&](const Row& row) { greatest = row.Int(0); });
  }));
  {
    absl::MutexLock lock(&mutex_);
    if (greatest == snapshot_.version) return absl::OkStatus();
  }
  return Load();
}

absl::Status PriceBook::Load() {
  Snapshot fresh;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    std::vector<Price> prices;
    AIB_RETURN_IF_ERROR(ReadPrices(session, kInForce, {std::string()}, prices));
    fresh = {};
    for (Price& price : prices) {
      fresh.version = std::max(fresh.version, price.version);
      fresh.by_model[std::move(price.model)] = {price.values, price.version};
    }
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  // A Set that came between knows better; versions only rise.
  for (auto& [model, price] : fresh.by_model) {
    InForce& in_force = snapshot_.by_model[model];
    if (in_force.version < price.version) in_force = price;
  }
  snapshot_.version = std::max(snapshot_.version, fresh.version);
  return absl::OkStatus();
}

absl::StatusOr<Price> PriceBook::Insert(Session& session, const std::string& model,
                                        const PriceValues& values, PriceSource source) {
  Price price{model, 0, clock_.Now(), values, source};
  AIB_RETURN_IF_ERROR(session.Query(
      kInsert,
      {model, absl::ToUnixMicros(price.effective_at), values.input, values.output,
       OrNull(values.cached_input), OrNull(values.reasoning), std::string(PriceSourceName(source))},
      [&](const Row& row) { price.version = row.Int(0); }));
  // As it is stored.
  price.effective_at = absl::FromUnixMicros(absl::ToUnixMicros(price.effective_at));
  return price;
}

absl::optional<PriceBook::InForce> PriceBook::Of(absl::string_view model) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto priced = snapshot_.by_model.find(model);
  if (priced != snapshot_.by_model.end()) return priced->second;
  const auto is_free = free_.find(model);
  if (is_free != free_.end()) return is_free->second;
  return absl::nullopt;
}

}  // namespace aibackend::usage
