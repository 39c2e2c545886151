// What every method of the gRPC edge works with. Owned by the composition root, which outlives the
// edge.
#pragma once

#include "server/access/gatekeeper.h"
#include "server/base/clock.h"
#include "server/base/executor.h"
#include "server/base/ids.h"
#include "server/chat/chat_service.h"
#include "server/chat/keyed_turns.h"
#include "server/jobs/job_queue.h"
#include "server/jobs/job_runner.h"
#include "server/models/model_catalog.h"
#include "server/retrieval/document_store.h"
#include "server/usage/ledger.h"

namespace aibackend::rpc {

struct Core {
  const access::Gatekeeper& gatekeeper;
  Clock& clock;
  IdSource& ids;
  Executor& executor;
  usage::Ledger& ledger;
  const models::ModelCatalog& models;
  chat::ChatService& chat;
  retrieval::DocumentStore& documents;
  jobs::JobQueue& job_queue;
  jobs::JobRunner& job_runner;
  chat::KeyedTurns& keyed_turns;
};

}  // namespace aibackend::rpc
