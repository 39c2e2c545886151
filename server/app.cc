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
#include "server/access/gatekeeper.h"
#include "server/base/executor.h"
#include "server/base/timer.h"
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
#include "server/tasks/index_documents_job.h"
#include "server/tasks/rollback_index_job.h"
#include "server/tasks/sample_documents.h"
#include "server/telemetry/log.h"
#include "server/usage/ledger.h"

namespace aibackend {
namespace {

using storage::FolderLock;
using telemetry::Event;
using telemetry::Log;

// A request of the gateway's largest body, and a job's params, fit.
constexpr int kMessageBytesMax = 32 * 1024 * 1024;

// What speaks to model servers, and the models that the documents are opened with.
struct Upstreams {
  explicit Upstreams(const std::vector<config::ModelSettings>& models)
      : http(net::HttpClient::Options()), embeddings(models, http, timer) {}

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

// Members stand in the order they are built; each uses only those above it.
class ServerApp final : public App {
 public:
  ServerApp(const config::Settings& settings, Clock& clock, FolderLock folder_lock,
            std::unique_ptr<storage::Database> database, std::unique_ptr<Upstreams> upstreams,
            std::unique_ptr<retrieval::DocumentStore> documents)
      : settings_(settings),
        clock_(clock),
        folder_lock_(std::move(folder_lock)),
        gatekeeper_(settings.admin_key),
        ids_(clock_),
        database_(std::move(database)),
        writer_(*database_, storage::GroupWriter::Options()),
        ledger_(*database_, writer_, LedgerOptions(settings)),
        upstreams_(std::move(upstreams)),
        timer_(upstreams_->timer),
        documents_(std::move(documents)),
        extractive_(*documents_, timer_, {settings.words_per_second}),
        models_(settings.models, upstreams_->http, timer_, clock_, upstreams_->embeddings,
                extractive_),
        executor_(settings.worker_threads, settings.worker_queue_max),
        turn_executor_(settings.worker_threads, settings.worker_queue_max),
        chat_(models_.catalog(), *documents_, turn_executor_, clock_,
              {settings.retrieval_strict, settings.turns_max}),
        kept_answers_(*database_, writer_, clock_, rpc::MakeAnswerCodec()),
        keyed_turns_(chat_, kept_answers_, executor_, timer_, clock_, KeyedOptions(settings)),
        job_queue_(*database_, clock_),
        job_runner_(job_queue_, ids_, clock_, JobKinds(), RunnerOptions(settings)),
        core_{gatekeeper_, clock_,      ids_,       executor_,   ledger_,     models_.catalog(),
              chat_,       *documents_, job_queue_, job_runner_, keyed_turns_},
        service_(core_),
        admin_(core_) {}

  ~ServerApp() override { Drain(); }

  absl::Status Start() {
    AIB_ASSIGN_OR_RETURN(const int64_t interrupted, ledger_.RecoverInterrupted());
    if (interrupted > 0) Log(Event::kLedgerRecovered, {{"rows", interrupted}});
    if (settings_.seed_empty) AIB_RETURN_IF_ERROR(SeedIfEmpty());
    documents_->OnOutgrown(
        [this](const retrieval::CollectionId& collection) { RefitInBackground(collection); });
    for (const auto& model : models_.catalog().Infos()) {
      Log(Event::kModelRegistered, {{"model", model.id}, {"provider", model.provider}});
    }
    AIB_RETURN_IF_ERROR(Listen());
    job_runner_.Start();
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
    documents_->SaveSnapshots();
    Log(Event::kServerStopped, {});
  }

 private:
  static usage::Ledger::Options LedgerOptions(const config::Settings& settings) {
    usage::Ledger::Options options;
    options.log_content = settings.log_content;
    return options;
  }

  static chat::KeyedTurns::Options KeyedOptions(const config::Settings& settings) {
    chat::KeyedTurns::Options options;
    options.resume_window = absl::Milliseconds(settings.resume_window_ms);
    return options;
  }

  static jobs::JobRunner::Options RunnerOptions(const config::Settings& settings) {
    jobs::JobRunner::Options options;
    options.threads = settings.job_threads;
    options.worker_id = jobs::MakeWorkerId();
    return options;
  }

  std::vector<std::unique_ptr<jobs::JobKind>> JobKinds() {
    std::vector<std::unique_ptr<jobs::JobKind>> kinds;
    kinds.push_back(std::make_unique<tasks::IndexDocumentsJob>(*documents_));
    kinds.push_back(std::make_unique<tasks::RollbackIndexJob>(*documents_));
    kinds.push_back(std::make_unique<tasks::AnalyzeUsageJob>(ledger_, clock_));
    kinds.push_back(std::make_unique<tasks::EvaluateJob>(*documents_, clock_));
    return kinds;
  }

  absl::Status SeedIfEmpty() {
    AIB_ASSIGN_OR_RETURN(const auto page, documents_->List({"", "default"}, 1, ""));
    if (!page.documents.empty()) return absl::OkStatus();
    AIB_ASSIGN_OR_RETURN(const auto added, documents_->Add({}, tasks::SampleDocuments()));
    Log(Event::kCorpusSeeded, {{"documents", added.size()}});
    return absl::OkStatus();
  }

  void RefitInBackground(const retrieval::CollectionId& collection) {
    const auto job = job_runner_.Submit(
        "index_documents", {{"collection", collection.name}, {"tenant", collection.tenant}});
    Log(Event::kIndexOutgrown, {{"collection", collection.name},
                                {"job_id", job.ok() ? job->id.value : job.status().ToString()}});
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
    builder.RegisterService(&service_);
    builder.RegisterService(&admin_);
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
  FolderLock folder_lock_;
  const access::Gatekeeper gatekeeper_;
  UlidSource ids_;
  std::unique_ptr<storage::Database> database_;
  storage::GroupWriter writer_;
  usage::Ledger ledger_;
  const std::unique_ptr<Upstreams> upstreams_;
  Timer& timer_;
  std::unique_ptr<retrieval::DocumentStore> documents_;
  chat::ExtractiveModel extractive_;
  ModelStack models_;
  Executor executor_;
  Executor turn_executor_;  // an answer never waits behind a call that waits for the database
  chat::ChatService chat_;
  chat::KeptAnswers kept_answers_;
  chat::KeyedTurns keyed_turns_;
  jobs::JobQueue job_queue_;
  jobs::JobRunner job_runner_;
  rpc::Core core_;
  rpc::AiBackendService service_;
  rpc::AiBackendAdminService admin_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<App>> App::Build(const config::Settings& settings, Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(settings.data_dir, error);
  if (error)
    return absl::UnavailableError(
        absl::StrCat("cannot make ", settings.data_dir, ": ", error.message()));

  AIB_ASSIGN_OR_RETURN(auto folder_lock, FolderLock::Take(settings.data_dir));
  AIB_ASSIGN_OR_RETURN(auto database, storage::OpenSqlite(settings.DatabasePath()));
  AIB_RETURN_IF_ERROR(retrieval::UseLanguage(settings.retrieval_language));
  auto upstreams = std::make_unique<Upstreams>(settings.models);
  AIB_ASSIGN_OR_RETURN(retrieval::StoreOptions store_options, StoreOptionsOf(settings, *upstreams));
  AIB_ASSIGN_OR_RETURN(auto documents,
                       retrieval::DocumentStore::Open(*database, clock, std::move(store_options)));
  auto app =
      std::make_unique<ServerApp>(settings, clock, std::move(folder_lock), std::move(database),
                                  std::move(upstreams), std::move(documents));
  AIB_RETURN_IF_ERROR(app->Start());
  return std::unique_ptr<App>(std::move(app));
}

}  // namespace aibackend
