#include "server/config/declarations.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace aibackend::config {
namespace {

constexpr char kRetrievalLegs[] =
    "words,bigrams,chars,unstemmed,expanded,dense,feedback,neighbours";

// What the stemmer of retrieval/ knows; config_test compares the two.
std::vector<std::string> RetrievalLanguages() {
  return absl::StrSplit(
      "none,arabic,armenian,basque,catalan,danish,dutch,english,finnish,french,german,greek,hindi,"
      "hungarian,indonesian,irish,italian,lithuanian,nepali,norwegian,porter,portuguese,romanian,"
      "russian,serbian,spanish,swedish,tamil,turkish,yiddish",
      ',');
}

void DeclareServer(CLI::App& app, Settings& s) {
  app.add_option("--listen", s.listen,
                 "Addresses of the gRPC port: host:port or unix:/path, several by comma")
      ->envname("AIB_SERVER_LISTEN")
      ->delimiter(',')
      ->default_str("127.0.0.1:50051")
      ->group("Server");
  app.add_option("--data-dir", s.data_dir, "Folder of the database; made if it is missing")
      ->envname("AIB_DATA_DIR")
      ->default_val("./data")
      ->group("Server");
  app.add_option("--seed-empty", s.seed_empty,
                 "Load the sample corpus at start when no document is stored")
      ->envname("AIB_SEED_EMPTY")
      ->default_str("false")
      ->group("Server");
  app.add_option("--drain-timeout-ms", s.drain_timeout_ms,
                 "After SIGTERM, how long running calls may go on")
      ->envname("AIB_DRAIN_TIMEOUT_MS")
      ->default_val(20'000)
      ->check(CLI::Range(0, 3'600'000))
      ->group("Server");
}

void DeclareAccess(CLI::App& app, Settings& s) {
  app.add_option("--insecure-listen", s.insecure_listen,
                 "Listen beyond this machine although nobody is asked for a key, also for metrics; "
                 "for containers and private networks")
      ->envname("AIB_INSECURE_LISTEN")
      ->default_str("false")
      ->group("Access");
  app.add_option("--admin-key", s.admin_key,
                 "The key that may do everything, of 16 bytes or more; better given by the "
                 "environment than by a flag. "
                 "With it every call must bring a key, this one or one that it made")
      ->envname("AIB_ADMIN_KEY")
      ->group("Access");
  app.add_option("--auth", s.auth,
                 "auto, required or off. auto: every call must bring a key or a JWT where there is "
                 "an admin key or JWTs are set up; required: a start without either is refused; "
                 "off: one with either is")
      ->envname("AIB_AUTH")
      ->default_val("auto")
      ->check(CLI::IsMember({"auto", "required", "off"}))
      ->group("Access");
  app.add_option(
         "--jwt-key-file", s.jwt.key_file,
         "What JWTs are verified with: a PEM file with an RSA or P-256 public key (RS256, ES256)")
      ->envname("AIB_JWT_KEY_FILE")
      ->group("Access");
  app.add_option("--jwt-secret-file", s.jwt.secret_file,
                 "The same for HS256: a file whose bytes are the secret, 32 or more")
      ->envname("AIB_JWT_SECRET_FILE")
      ->group("Access");
  app.add_option("--jwt-jwks-file", s.jwt.jwks_file,
                 "The same: a JWKS file; it is read again when it changes")
      ->envname("AIB_JWT_JWKS_FILE")
      ->group("Access");
  app.add_option("--jwt-issuer", s.jwt.issuer,
                 "What the claim iss must be; none: it is not looked at")
      ->envname("AIB_JWT_ISSUER")
      ->group("Access");
  app.add_option("--jwt-audience", s.jwt.audience,
                 "What the claim aud must be or hold; none: it is not looked at")
      ->envname("AIB_JWT_AUDIENCE")
      ->group("Access");
  app.add_option("--jwt-clock-skew-ms", s.jwt.clock_skew_ms, "How far the clocks may be apart")
      ->envname("AIB_JWT_CLOCK_SKEW_MS")
      ->default_val(60'000)
      ->check(CLI::Range(0, 3'600'000))
      ->group("Access");
  app.add_option("--jwt-tenant-claim", s.jwt.tenant_claim,
                 "The claim that names the tenant; without it: default")
      ->envname("AIB_JWT_TENANT_CLAIM")
      ->default_val("tenant")
      ->group("Access");
  app.add_option("--jwt-user-claim", s.jwt.user_claim, "The claim that names the user")
      ->envname("AIB_JWT_USER_CLAIM")
      ->default_val("sub")
      ->group("Access");
  app.add_option("--jwt-scopes-claim", s.jwt.scopes_claim,
                 "The claim that names the scopes, words with blanks between or an array")
      ->envname("AIB_JWT_SCOPES_CLAIM")
      ->default_val("scope")
      ->group("Access");
  app.add_option("--limits", s.limits_mode,
                 "enforce, shadow (only record what would be refused) or off")
      ->envname("AIB_LIMITS")
      ->default_val("enforce")
      ->check(CLI::IsMember({"enforce", "shadow", "off"}))
      ->group("Access");
  app.add_option("--trusted-proxies", s.trusted_proxies,
                 "Peers whose x-forwarded-for is believed, beside this machine: addresses or "
                 "prefixes such as 10.0.0.0/8, several by comma")
      ->envname("AIB_TRUSTED_PROXIES")
      ->delimiter(',')
      ->group("Access");
  app.add_option("--quota-answer-tokens", s.quota_answer_tokens,
                 "Of a caller with a quota whose request names no max_tokens: the longest answer, "
                 "which is reserved")
      ->envname("AIB_QUOTA_ANSWER_TOKENS")
      ->default_val(4'096)
      ->check(CLI::Range(1, 1'000'000))
      ->group("Access");
  app.add_option("--reservation-lease-ms", s.reservation_lease_ms,
                 "How long after a crash the reservations of killed requests still count")
      ->envname("AIB_RESERVATION_LEASE_MS")
      ->default_val(30'000)
      ->check(CLI::Range(0, 3'600'000))
      ->group("Access");
}

void DeclareLogging(CLI::App& app, Settings& s) {
  app.add_option("--log-level", s.log_level, "trace, debug, info, warn, error or off")
      ->envname("AIB_LOG_LEVEL")
      ->default_val("info")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->group("Logging");
  app.add_option("--log-format", s.log_format, "text (key=value) or json (an object a line)")
      ->envname("AIB_LOG_FORMAT")
      ->default_val("text")
      ->check(CLI::IsMember({"text", "json"}))
      ->group("Logging");
  app.add_option("--log-content", s.log_content,
                 "Prompts and responses in the usage log: true (kept), false (only their sizes) or "
                 "hashed (their SHA-256)")
      ->envname("AIB_LOG_CONTENT")
      ->default_val("true")
      ->check(CLI::IsMember({"true", "false", "hashed", "on", "off"}))
      ->group("Logging");
  app.add_option("--ledger", s.ledger,
                 "on, or off: no usage is recorded, and quotas begin anew with each start; for "
                 "measuring what the ledger costs")
      ->envname("AIB_LEDGER")
      ->default_val("on")
      ->check(CLI::IsMember({"on", "off"}))
      ->group("Logging");
  app.add_option(
         "--usage-retention-days", s.usage_retention_days,
         "Rows of the usage log that are older are removed, once a day; totals stay. 0: never")
      ->envname("AIB_USAGE_RETENTION_DAYS")
      ->default_val(0)
      ->check(CLI::Range(0, 36'500))
      ->group("Logging");
  app.add_option("--content-retention-days", s.content_retention_days,
                 "The same for the prompts and responses in them")
      ->envname("AIB_CONTENT_RETENTION_DAYS")
      ->default_val(0)
      ->check(CLI::Range(0, 36'500))
      ->group("Logging");
  app.add_option(
         "--metrics-listen", s.metrics_listen,
         "Address of the Prometheus metrics, host:port at which GET /metrics answers, without a "
         "key: beyond this machine only with insecure-listen; none: off")
      ->envname("AIB_SERVER_METRICS_LISTEN")
      ->group("Logging");
  app.add_option("--otlp-endpoint", s.otlp_endpoint,
                 "Collector that traces are sent to by OTLP/gRPC: host:port, or https://host:port; "
                 "none: off")
      ->envname("AIB_OTLP_ENDPOINT")
      ->group("Logging");
  app.add_option("--trace-sample", s.trace_sample,
                 "Share of the requests that are traced where the caller does not say")
      ->envname("AIB_TRACE_SAMPLE")
      ->default_val(1.0)
      ->check(CLI::Range(0.0, 1.0))
      ->group("Logging");
}

void DeclareModels(CLI::App& app, Settings& s) {
  const auto positive_ms = CLI::Range(1, 24 * 3600 * 1000);

  app.add_option("--openai-base-url", s.openai_base_url,
                 "An OpenAI-compatible server, such as http://127.0.0.1:8000/v1; none: the "
                 "embedded answerer serves")
      ->envname("AIB_OPENAI_BASE_URL")
      ->group("Models");
  app.add_option("--openai-api-key", s.openai_api_key,
                 "Its key; better given by the environment than by a flag")
      ->envname("AIB_OPENAI_API_KEY")
      ->group("Models");
  app.add_option("--model", s.model,
                 "The model's name at that server; it becomes the default model")
      ->envname("AIB_MODEL")
      ->default_val("gpt-4o-mini")
      ->group("Models");
  app.add_option("--anthropic-base-url", s.anthropic_base_url,
                 "A server of Anthropic's Messages API, such as https://api.anthropic.com; none: "
                 "no such model")
      ->envname("AIB_ANTHROPIC_BASE_URL")
      ->group("Models");
  app.add_option("--anthropic-api-key", s.anthropic_api_key,
                 "Its key; better given by the environment than by a flag")
      ->envname("AIB_ANTHROPIC_API_KEY")
      ->group("Models");
  app.add_option("--anthropic-model", s.anthropic_model,
                 "The model's name at that server; the default model where openai-base-url is none")
      ->envname("AIB_ANTHROPIC_MODEL")
      ->default_val("claude-sonnet-4-5")
      ->group("Models");
  app.add_option("--upstream-connect-timeout-ms", s.upstream_connect_timeout_ms,
                 "To connect to a model server")
      ->envname("AIB_UPSTREAM_CONNECT_TIMEOUT_MS")
      ->default_val(2'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--upstream-first-token-timeout-ms", s.upstream_first_token_timeout_ms,
                 "From a request to its first byte")
      ->envname("AIB_UPSTREAM_FIRST_TOKEN_TIMEOUT_MS")
      ->default_val(30'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--upstream-idle-timeout-ms", s.upstream_idle_timeout_ms,
                 "Between two pieces of an answer")
      ->envname("AIB_UPSTREAM_IDLE_TIMEOUT_MS")
      ->default_val(30'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--upstream-total-timeout-ms", s.upstream_total_timeout_ms, "For a whole answer")
      ->envname("AIB_UPSTREAM_TOTAL_TIMEOUT_MS")
      ->default_val(600'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--embedding-model", s.embedding_model,
                 "The embedding model's name at the OpenAI-compatible server")
      ->envname("AIB_EMBEDDING_MODEL")
      ->default_val("text-embedding-3-small")
      ->group("Models");
  app.add_option("--upstream-retries", s.upstream_retries,
                 "Further attempts after a failure that may pass, before the first token")
      ->envname("AIB_UPSTREAM_RETRIES")
      ->default_val(2)
      ->check(CLI::Range(0, 10))
      ->group("Models");
  app.add_option("--upstream-retry-base-ms", s.upstream_retry_base_ms,
                 "The longest wait before the first of them; it doubles with each (full jitter)")
      ->envname("AIB_UPSTREAM_RETRY_BASE_MS")
      ->default_val(200)
      ->check(CLI::Range(1, 60'000))
      ->group("Models");
  app.add_option("--upstream-retry-wait-max-ms", s.upstream_retry_wait_max_ms,
                 "The longest Retry-After that is waited for; a longer one is passed on at once")
      ->envname("AIB_UPSTREAM_RETRY_WAIT_MAX_MS")
      ->default_val(5'000)
      ->check(CLI::Range(0, 600'000))
      ->group("Models");
  app.add_option(
         "--upstream-breaker-failures", s.upstream_breaker_failures,
         "Failures in a row after which a model server is left alone, where another one can "
         "serve instead; 0: never")
      ->envname("AIB_UPSTREAM_BREAKER_FAILURES")
      ->default_val(10)
      ->check(CLI::Range(0, 1'000'000))
      ->group("Models");
  app.add_option("--upstream-breaker-open-ms", s.upstream_breaker_open_ms,
                 "For how long at first; it doubles, up to five seconds, while the server fails")
      ->envname("AIB_UPSTREAM_BREAKER_OPEN_MS")
      ->default_val(1'000)
      ->check(CLI::Range(1, 600'000))
      ->group("Models");
  app.add_option("--upstream-concurrent-max", s.upstream_concurrent_max,
                 "Requests under way at one model server; 0: no bound of its own")
      ->envname("AIB_UPSTREAM_CONCURRENT_MAX")
      ->default_val(0)
      ->check(CLI::Range(0, 1'000'000))
      ->group("Models");
  app.add_option("--upstream-queue-max", s.upstream_queue_max,
                 "Requests that wait where that bound is reached; beyond it: OVERLOADED")
      ->envname("AIB_UPSTREAM_QUEUE_MAX")
      ->default_val(1'000)
      ->check(CLI::Range(0, 1'000'000))
      ->group("Models");
  app.add_option("--resume-window-ms", s.resume_window_ms,
                 "How long a chat with an Idempotency-Key goes on without its client, and how long "
                 "its stream can be resumed")
      ->envname("AIB_RESUME_WINDOW_MS")
      ->default_val(300'000)
      ->check(CLI::Range(0, 3'600'000))
      ->group("Models");
  app.add_option("--words-per-second", s.words_per_second,
                 "Pace of the embedded answerer's streams; 0: at once")
      ->envname("AIB_WORDS_PER_SECOND")
      ->default_val(50.0)
      ->check(CLI::Range(0.0, 100'000.0))
      ->group("Models");
}

void DeclareRetrieval(CLI::App& app, Settings& s) {
  const auto positive_ms = CLI::Range(1, 24 * 3600 * 1000);

  app.add_option("--retrieval-strict", s.retrieval_strict,
                 "Where a request doesn't say: answer only from documents, or with NO_CONTEXT")
      ->envname("AIB_RETRIEVAL_STRICT")
      ->default_str("false")
      ->group("Models");
  app.add_option("--retrieval-language", s.retrieval_language,
                 "What documents are mostly written in: its words are stemmed, and its most common "
                 "ones passed over; none: neither. Indexes are made anew when it changes")
      ->envname("AIB_RETRIEVAL_LANGUAGE")
      ->default_val("english")
      ->check(CLI::IsMember(RetrievalLanguages()))
      ->group("Models");
  app.add_option(
         "--retrieval-legs", s.retrieval_legs,
         "What a hybrid search sums up, several by comma; to leave out a leg is to compare, "
         "or to save its time")
      ->envname("AIB_RETRIEVAL_LEGS")
      ->delimiter(',')
      ->default_val(kRetrievalLegs)
      ->check(CLI::IsMember(std::vector<std::string>(absl::StrSplit(kRetrievalLegs, ','))))
      ->group("Models");
  app.add_option("--retrieval-embedder", s.retrieval_embedder,
                 "What embeds the documents of new collections: fitted (made from their own texts) "
                 "or the name of an embedding model")
      ->envname("AIB_RETRIEVAL_EMBEDDER")
      ->default_val("fitted")
      ->group("Models");
  app.add_option("--retrieval-embed-timeout-ms", s.retrieval_embed_timeout_ms,
                 "How long a query waits for its embedding; after it the word legs serve alone")
      ->envname("AIB_RETRIEVAL_EMBED_TIMEOUT_MS")
      ->default_val(2'000)
      ->check(positive_ms)
      ->group("Models");
}

void DeclareCache(CLI::App& app, Settings& s) {
  app.add_option("--cache", s.cache.mode,
                 "Where a request does not say: off, auto (exact where the temperature is 0), "
                 "exact, or semantic (also a question that means the same)")
      ->envname("AIB_CACHE")
      ->default_val("auto")
      ->check(CLI::IsMember({"off", "auto", "exact", "semantic"}))
      ->group("Cache");
  app.add_option("--cache-ttl-ms", s.cache.ttl_ms, "How long an answer may be given again")
      ->envname("AIB_CACHE_TTL_MS")
      ->default_val(3'600'000)
      ->check(CLI::Range(1, 86'400'000))
      ->group("Cache");
  app.add_option("--cache-bytes-max", s.cache.bytes_max,
                 "Memory for answers; the least used go first. 0: no cache")
      ->envname("AIB_CACHE_BYTES_MAX")
      ->default_val(67'108'864)
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->group("Cache");
  app.add_option("--cache-threshold", s.cache.threshold,
                 "Of semantic: the least cosine of two questions")
      ->envname("AIB_CACHE_THRESHOLD")
      ->default_val(0.95)
      ->check(CLI::Range(0.0, 1.0))
      ->group("Cache");
  app.add_option("--cache-embedder", s.cache.embedder,
                 "The embedding model that compares them; none: the first one, if there is one")
      ->envname("AIB_CACHE_EMBEDDER")
      ->group("Cache");
}

void DeclareBilling(CLI::App& app, Settings& s) {
  app.add_option("--billing-url", s.billing.url,
                 "Where the job export_billing posts usage, as Stripe meter events; none: there is "
                 "no such job")
      ->envname("AIB_BILLING_URL")
      ->group("Billing");
  app.add_option("--billing-api-key", s.billing.api_key,
                 "Its key; better given by the environment than by a flag")
      ->envname("AIB_BILLING_API_KEY")
      ->group("Billing");
  app.add_option("--billing-event-name", s.billing.event_name, "The event_name of each")
      ->envname("AIB_BILLING_EVENT_NAME")
      ->default_val("aibackend_usage")
      ->group("Billing");
  app.add_option("--billing-metric", s.billing.metric,
                 "What its value is: tokens, nano_usd or requests")
      ->envname("AIB_BILLING_METRIC")
      ->default_val("tokens")
      ->check(CLI::IsMember({"tokens", "nano_usd", "requests"}))
      ->group("Billing");
}

void DeclareCapacity(CLI::App& app, Settings& s) {
  // More than cores: dense searches that wait at the same moment share a scan, which tells where
  // there is much to scan.
  app.add_option("--worker-threads", s.worker_threads,
                 "Threads for chats, and as many for other calls")
      ->envname("AIB_WORKER_THREADS")
      ->default_val(16)
      ->check(CLI::Range(1, 256))
      ->group("Capacity");
  app.add_option("--worker-queue-max", s.worker_queue_max,
                 "Calls that may wait for one; beyond it: OVERLOADED")
      ->envname("AIB_WORKER_QUEUE_MAX")
      ->default_val(10'000)
      ->check(CLI::Range(1, 1'000'000))
      ->group("Capacity");
  app.add_option("--turns-max", s.turns_max, "Chats under way at once; beyond it: OVERLOADED")
      ->envname("AIB_TURNS_MAX")
      ->default_val(10'000)
      ->check(CLI::Range(1, 1'000'000))
      ->group("Capacity");
  app.add_option("--job-threads", s.job_threads, "Background jobs that run at once")
      ->envname("AIB_JOB_THREADS")
      ->default_val(1)
      ->check(CLI::Range(1, 64))
      ->group("Capacity");
}

}  // namespace

void Declare(CLI::App& app, Settings& settings) {
  DeclareServer(app, settings);
  DeclareAccess(app, settings);
  DeclareLogging(app, settings);
  DeclareModels(app, settings);
  DeclareRetrieval(app, settings);
  DeclareCache(app, settings);
  DeclareBilling(app, settings);
  DeclareCapacity(app, settings);
}

}  // namespace aibackend::config
