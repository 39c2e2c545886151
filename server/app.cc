#include "server/app.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "server/account_stack.h"
#include "server/answer_stack.h"
#include "server/base/executor.h"
#include "server/base/timer.h"
#include "server/billing_sink.h"
#include "server/chat/chat_service.h"
#include "server/chat/extractive_model.h"
#include "server/chat/kept_answers.h"
#include "server/chat/keyed_turns.h"
#include "server/embedding_stack.h"
#include "server/jobs/job_queue.h"
#include "server/jobs/job_runner.h"
#include "server/model_stack.h"
#include "server/net/http_client.h"
#include "server/retrieval/analyzer.h"
#include "server/retrieval/document_store.h"
#include "server/rpc/answer_codec.h"
#include "server/rpc/service.h"
#include "server/storage/database.h"
#include "server/storage/folder_lock.h"
#include "server/storage/group_writer.h"
#include "server/tasks/analyze_usage_job.h"
#include "server/tasks/evaluate_job.h"
#include "server/tasks/export_billing_job.h"
#include "server/tasks/index_documents_job.h"
#include "server/tasks/purge_usage_job.h"
#include "server/tasks/rollback_index_job.h"
#include "server/tasks/sample_documents.h"
#include "server/telemetry/log.h"
#include "server/telemetry_stack.h"
#include "server/usage/ledger.h"
#include "server/usage/periodic.h"

namespace aibackend {
namespace {

using storage::FolderLock;
using telemetry::Event;
using telemetry::Log;

// A request of the gateway's largest body, and a job's params, fit.
constexpr int kMessageBytesMax = 32 * 1024 * 1024;

// What speaks to model servers, and the models that the documents are opened with.
struct Upstreams {
  Upstreams(const std::vector<config::ModelSettings>& models, const models::CallWatch& watch)
      : http(net::HttpClient::Options()), embeddings(models, http, timer, watch) {}

  Timer timer;
  net::HttpClient http;
  EmbeddingStack embeddings;
};

absl::StatusOr<retrieval::StoreOptions> StoreOptionsOf(const config::Settings& settings,
                                                       const Upstreams& upstreams) {
  retrieval::StoreOptions options;
  AIB_ASSIGN_OR_RETURN(options.legs, retrieval::LegSet::Parse(settings.retrieval_legs));
  options.snapshot_dir = settings.data_dir + "/index";
  options.embedders = upstreams.embeddings.embedders();
  options.embedder = settings.retrieval_embedder;
  options.query_embed_timeout = absl::Milliseconds(settings.retrieval_embed_timeout_ms);
  // The other half goes on answering what needs no upstream.
  options.query_embeds_max = std::max(1, settings.worker_threads / 2);
  return options;
}

usage::ContentPolicy ContentPolicyOf(const std::string& log_content) {
  if (log_content == "hashed") return usage::ContentPolicy::kHashed;
  const bool is_kept = log_content == "true" || log_content == "on";
  return is_kept ? usage::ContentPolicy::kOn : usage::ContentPolicy::kOff;
}

usage::Ledger::Options LedgerOptions(const config::Settings& settings) {
  usage::Ledger::Options options;
  options.is_on = settings.ledger == "on";
  options.log_content = ContentPolicyOf(settings.log_content);
  options.spool_folder = settings.data_dir + "/spool";
  return options;
}

// The database, and the ledger that it holds.
struct Books {
  Books(const config::Settings& settings, Clock& clock, std::unique_ptr<storage::Database> opened)
      : ids(clock),
        database(std::move(opened)),
        writer(*database, storage::GroupWriter::Options()),
        ledger(*database, writer, LedgerOptions(settings)) {}

  // What a killed process left.
  absl::Status Recover(const config::Settings& settings, Clock& clock) {
    AIB_ASSIGN_OR_RETURN(const int64_t spooled, ledger.ReplaySpool());
    AIB_ASSIGN_OR_RETURN(
        const int64_t interrupted,
        ledger.RecoverInterrupted(clock.Now(), absl::Milliseconds(settings.reservation_lease_ms)));
    if (spooled + interrupted > 0) {
      Log(Event::kLedgerRecovered, {{"rows", interrupted}, {"spooled", spooled}});
    }
    return absl::OkStatus();
  }

  UlidSource ids;
  std::unique_ptr<storage::Database> database;
  storage::GroupWriter writer;
  usage::Ledger ledger;
};

// What is opened before the server is put together, in this order; each uses only those above it.
struct Parts {
  FolderLock folder_lock;
  rpc::MethodScopes scopes;
  rpc::TrustedProxies proxies;
  std::unique_ptr<TelemetryStack> telemetry;
  std::unique_ptr<Books> books;
  std::unique_ptr<AccountStack> accounts;
  std::unique_ptr<Upstreams> upstreams;
  std::unique_ptr<AnswerStack> answers;
  std::unique_ptr<retrieval::DocumentStore> documents;
};

models::CallWatch WatchOf(TelemetryStack& telemetry, Clock& clock) {
  return {&telemetry.tracer(), &telemetry.metrics(), &clock};
}

// Stripe takes no event that is older than 35 days (docs.stripe.com/api/billing/meter-event), and
// one that it refuses would stop all that come after it.
constexpr absl::Duration kBillingAgeMax = absl::Hours(24 * 34);

// Of one event: a receiver that is dead may hold up a stop for as long.
constexpr absl::Duration kBillingTimeout = absl::Seconds(30);

constexpr absl::Duration kPurgePeriod = absl::Hours(1);

constexpr const char* kJobKinds[] = {"index_documents", "rollback_index", "analyze_usage",
                                     "evaluate",        "purge_usage",    "export_billing"};

// Members stand in the order they are built; each uses only those above it.
class ServerApp final : public App {
 public:
  ServerApp(const config::Settings& settings, Clock& clock, Parts parts)
      : settings_(settings),
        clock_(clock),
        parts_(std::move(parts)),
        database_(*parts_.books->database),
        ledger_(parts_.books->ledger),
        timer_(parts_.upstreams->timer),
        documents_(*parts_.documents),
        extractive_(documents_, timer_, {settings.words_per_second}),
        models_(settings.models, parts_.upstreams->http, timer_, clock_,
                parts_.upstreams->embeddings, extractive_, WatchOf(*parts_.telemetry, clock_)),
        executor_(settings.worker_threads, settings.worker_queue_max),
        turn_executor_(settings.worker_threads, settings.worker_queue_max),
        chat_(models_.catalog(), documents_, turn_executor_, clock_,
              parts_.answers->ChatOptions(settings, parts_.accounts->prices(),
                                          parts_.telemetry->metrics())),
        kept_answers_(database_, parts_.books->writer, clock_, rpc::MakeAnswerCodec()),
        keyed_turns_(chat_, kept_answers_, executor_, timer_, clock_, KeyedOptions(settings)),
        billing_(MakeBilling()),
        job_queue_(database_, clock_),
        job_runner_(job_queue_, parts_.books->ids, clock_, JobKinds(), RunnerOptions()),
        core_{parts_.accounts->authenticator(),
              settings.RequiresAuth(),
              parts_.scopes,
              parts_.proxies,
              parts_.accounts->meter(),
              parts_.accounts->keys(),
              clock_,
              parts_.books->ids,
              executor_,
              ledger_,
              parts_.accounts->prices(),
              parts_.accounts->summaries(),
              settings.quota_answer_tokens,
              parts_.telemetry->metrics(),
              parts_.telemetry->tracer(),
              models_.catalog(),
              chat_,
              documents_,
              job_queue_,
              job_runner_,
              keyed_turns_},
        service_(rpc::MakeAiBackendService(core_)),
        admin_(rpc::MakeAiBackendAdminService(core_)) {}

  ~ServerApp() override {
    purging_.reset();
    Drain();
    parts_.telemetry->StopServing();
  }

  absl::Status Start() {
    if (settings_.seed_empty) AIB_RETURN_IF_ERROR(SeedIfEmpty());
    documents_.OnOutgrown(
        [this](const retrieval::CollectionId& collection) { RefitInBackground(collection); });
    for (const auto& model : models_.catalog().Infos()) {
      Log(Event::kModelRegistered, {{"model", model.id}, {"provider", model.provider}});
    }
    AIB_RETURN_IF_ERROR(parts_.telemetry->Serve(Readings()));
    AIB_RETURN_IF_ERROR(Listen());
    job_runner_.Start();
    if (const jobs::Json params = PurgeParams(); !params.empty()) {
      StartPurge(params);
      purging_ =
          std::make_unique<usage::Periodic>("starting the purge", kPurgePeriod, [this, params] {
            StartPurge(params);
            return absl::OkStatus();
          });
    }
    return absl::OkStatus();
  }

  void Drain() override {
    if (!server_) return;
    Log(Event::kServerDraining, {{"timeout_ms", settings_.drain_timeout_ms}});
    server_->GetHealthCheckService()->SetServingStatus(false);
    // Beside the calls: a job's step may be long, and new calls are refused at once.
    std::thread handing_back([this] { job_runner_.Stop(); });
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::milliseconds(settings_.drain_timeout_ms));
    server_->Wait();
    server_.reset();
    handing_back.join();
    documents_.SaveSnapshots();
    Log(Event::kServerStopped, {});
  }

 private:
  static chat::KeyedTurns::Options KeyedOptions(const config::Settings& settings) {
    chat::KeyedTurns::Options options;
    options.resume_window = absl::Milliseconds(settings.resume_window_ms);
    return options;
  }

  jobs::JobRunner::Options RunnerOptions() {
    jobs::JobRunner::Options options;
    options.threads = settings_.job_threads;
    options.worker_id = jobs::MakeWorkerId();
    options.on_end = [&metrics = parts_.telemetry->metrics()](const std::string& kind,
                                                              jobs::JobStatus status) {
      metrics.JobEnded(kind, status == jobs::JobStatus::kSucceeded ? telemetry::JobEnd::kSucceeded
                             : status == jobs::JobStatus::kFailed  ? telemetry::JobEnd::kFailed
                                                                   : telemetry::JobEnd::kCancelled);
    };
    return options;
  }

  // Null where the settings name nobody who bills.
  std::unique_ptr<tasks::BillingSink> MakeBilling() {
    const config::BillingSettings& billing = settings_.billing;
    if (billing.url.empty()) return nullptr;
    StripeMeterSink::Options options;
    options.url = billing.url;
    options.key = billing.api_key;
    options.event_name = billing.event_name;
    options.timeouts.total = kBillingTimeout;
    return std::make_unique<StripeMeterSink>(parts_.upstreams->http, std::move(options));
  }

  std::vector<std::unique_ptr<jobs::JobKind>> JobKinds() {
    std::vector<std::unique_ptr<jobs::JobKind>> kinds;
    kinds.push_back(std::make_unique<tasks::IndexDocumentsJob>(documents_));
    kinds.push_back(std::make_unique<tasks::RollbackIndexJob>(documents_));
    kinds.push_back(std::make_unique<tasks::AnalyzeUsageJob>(ledger_, clock_));
    kinds.push_back(std::make_unique<tasks::EvaluateJob>(documents_, clock_));
    absl::optional<std::string> billed_to;
    if (billing_) {
      tasks::ExportBillingJob::Options options;
      options.destination = absl::StrCat(settings_.billing.url, " ", settings_.billing.event_name);
      options.metric = *tasks::BillingMetricOf(settings_.billing.metric);
      options.age_max = kBillingAgeMax;
      billed_to = options.destination;
      kinds.push_back(std::make_unique<tasks::ExportBillingJob>(
          database_, parts_.accounts->rollup(), *billing_, clock_, options));
    }
    kinds.push_back(std::make_unique<tasks::PurgeUsageJob>(ledger_, clock_, billed_to));
    return kinds;
  }

  telemetry::Metrics::Readings Readings() {
    telemetry::Metrics::Readings readings;
    readings.ledger_lost_rows = [this] { return ledger_.lost_rows(); };
    readings.ledger_queue_depth = [this] {
      return static_cast<int64_t>(parts_.books->writer.waiting());
    };
    readings.ledger_spooled_rows = [this] { return ledger_.spooled_rows(); };
    readings.spans_dropped = [this] { return parts_.telemetry->tracer().dropped(); };
    readings.cache_bytes = [this] { return parts_.answers->cache_bytes(); };
    return readings;
  }

  absl::Status SeedIfEmpty() {
    AIB_ASSIGN_OR_RETURN(const auto page, documents_.List({"", "default"}, 1, ""));
    if (!page.documents.empty()) return absl::OkStatus();
    AIB_ASSIGN_OR_RETURN(const auto added, documents_.Add({}, tasks::SampleDocuments()));
    Log(Event::kCorpusSeeded, {{"documents", added.size()}});
    return absl::OkStatus();
  }

  void RefitInBackground(const retrieval::CollectionId& collection) {
    const auto job = job_runner_.Submit(
        "index_documents", {{"collection", collection.name}, {"tenant", collection.tenant}},
        collection.tenant);
    Log(Event::kIndexOutgrown, {{"collection", collection.name},
                                {"job_id", job.ok() ? job->id.value : job.status().ToString()}});
  }

  // What the settings have the ledger forget; empty: nothing.
  jobs::Json PurgeParams() const {
    jobs::Json params = jobs::Json::object();
    if (settings_.usage_retention_days > 0) params["days"] = settings_.usage_retention_days;
    if (settings_.content_retention_days > 0) {
      params["content_days"] = settings_.content_retention_days;
    }
    return params;
  }

  // A job a day; of several servers one starts it. Its key begins with what no client can send.
  void StartPurge(const jobs::Json& params) {
    const std::string day = absl::FormatTime("%Y-%m-%d", clock_.Now(), absl::UTCTimeZone());
    const std::string what = params.dump();
    const jobs::SubmitKey once{absl::StrCat("\x1fpurge_usage ", day, " ", what), what};
    const auto job = job_runner_.Submit("purge_usage", params, "default", once);
    if (!job.ok()) Log(Event::kPurgeFailed, {{"error", job.status().ToString()}});
  }

  absl::Status Listen() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    std::vector<int> ports(settings_.listen.size(), 0);
    for (size_t i = 0; i < settings_.listen.size(); ++i) {
      builder.AddListeningPort(settings_.listen[i], grpc::InsecureServerCredentials(), &ports[i]);
    }
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    builder.SetMaxSendMessageSize(kMessageBytesMax);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                               0);  // a second server on the port is a mistake, not a share
    builder.RegisterService(service_.get());
    builder.RegisterService(admin_.get());
    server_ = builder.BuildAndStart();
    for (size_t i = 0; i < ports.size(); ++i) {
      if (!server_ || ports[i] == 0) {
        server_.reset();
        return absl::UnavailableError(absl::StrCat("cannot listen on ", settings_.listen[i]));
      }
    }
    Log(Event::kServerStarted,
        {{"listen", absl::StrJoin(settings_.listen, ",")}, {"data_dir", settings_.data_dir}});
    return absl::OkStatus();
  }

  const config::Settings settings_;
  Clock& clock_;
  Parts parts_;
  storage::Database& database_;
  usage::Ledger& ledger_;
  Timer& timer_;
  retrieval::DocumentStore& documents_;
  chat::ExtractiveModel extractive_;
  ModelStack models_;
  Executor executor_;
  Executor turn_executor_;  // an answer never waits behind a call that waits for the database
  chat::ChatService chat_;
  chat::KeptAnswers kept_answers_;
  chat::KeyedTurns keyed_turns_;
  const std::unique_ptr<tasks::BillingSink> billing_;
  jobs::JobQueue job_queue_;
  jobs::JobRunner job_runner_;
  rpc::Core core_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Service> admin_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<usage::Periodic> purging_;  // null: nothing is purged
};

absl::StatusOr<Parts> OpenParts(const config::Settings& settings, Clock& clock,
                                FolderLock folder_lock) {
  Parts parts{std::move(folder_lock)};
  AIB_ASSIGN_OR_RETURN(parts.scopes, rpc::MethodScopes::OfContract());
  AIB_ASSIGN_OR_RETURN(parts.proxies, rpc::TrustedProxies::Parse(settings.trusted_proxies));
  AIB_ASSIGN_OR_RETURN(
      parts.telemetry,
      TelemetryStack::Open(settings, parts.scopes.names(),
                           std::vector<std::string>(std::begin(kJobKinds), std::end(kJobKinds))));
  AIB_ASSIGN_OR_RETURN(auto database, storage::OpenSqlite(settings.DatabasePath()));
  parts.books = std::make_unique<Books>(settings, clock, std::move(database));
  AIB_RETURN_IF_ERROR(parts.books->Recover(settings, clock));
  storage::Database& opened = *parts.books->database;
  AIB_ASSIGN_OR_RETURN(parts.accounts,
                       AccountStack::Open(settings, opened, parts.books->ledger, clock,
                                          parts.books->ids, parts.telemetry->metrics()));
  AIB_RETURN_IF_ERROR(retrieval::UseLanguage(settings.retrieval_language));
  parts.upstreams = std::make_unique<Upstreams>(settings.models, WatchOf(*parts.telemetry, clock));
  AIB_ASSIGN_OR_RETURN(parts.answers,
                       AnswerStack::Open(settings, clock, parts.upstreams->embeddings.embedders()));
  AIB_ASSIGN_OR_RETURN(retrieval::StoreOptions store_options,
                       StoreOptionsOf(settings, *parts.upstreams));
  AIB_ASSIGN_OR_RETURN(parts.documents,
                       retrieval::DocumentStore::Open(opened, clock, std::move(store_options)));
  return parts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<App>> App::Build(const config::Settings& settings, Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(settings.data_dir, error);
  if (error)
    return absl::UnavailableError(
        absl::StrCat("cannot make ", settings.data_dir, ": ", error.message()));

  AIB_ASSIGN_OR_RETURN(auto folder_lock, FolderLock::Take(settings.data_dir));
  AIB_ASSIGN_OR_RETURN(Parts parts, OpenParts(settings, clock, std::move(folder_lock)));
  auto app = std::make_unique<ServerApp>(settings, clock, std::move(parts));
  AIB_RETURN_IF_ERROR(app->Start());
  return std::unique_ptr<App>(std::move(app));
}

}  // namespace aibackend
