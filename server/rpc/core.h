// What every method of the gRPC edge works with. Owned by the composition root, which outlives the
// edge.
#pragma once

#include "server/access/authenticator.h"
#include "server/access/key_store.h"
#include "server/access/meter.h"
#include "server/base/clock.h"
#include "server/base/executor.h"
#include "server/base/ids.h"
#include "server/chat/chat_service.h"
#include "server/chat/keyed_turns.h"
#include "server/jobs/job_queue.h"
#include "server/jobs/job_runner.h"
#include "server/models/model_catalog.h"
#include "server/retrieval/document_store.h"
#include "server/rpc/client_address.h"
#include "server/rpc/methods.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/tracer.h"
#include "server/usage/ledger.h"
#include "server/usage/price_book.h"
#include "server/usage/summary.h"

namespace aibackend::rpc {

struct Core {
  const access::Authenticator& authenticator;
  bool key_required;  // of every caller
  const MethodScopes& scopes;
  const TrustedProxies& proxies;
  access::Meter& meter;
  access::KeyStore& keys;
  Clock& clock;
  IdSource& ids;
  Executor& executor;
  usage::Ledger& ledger;
  usage::PriceBook& prices;
  usage::Summarizer& summaries;
  int quota_answer_tokens;  // of a caller with a quota whose request names no max_tokens
  telemetry::Metrics& metrics;
  const telemetry::Tracer& tracer;
  const models::ModelCatalog& models;
  chat::ChatService& chat;
  retrieval::DocumentStore& documents;
  jobs::JobQueue& job_queue;
  jobs::JobRunner& job_runner;
  chat::KeyedTurns& keyed_turns;
};

}  // namespace aibackend::rpc
