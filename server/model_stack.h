// The models of the settings, each with what stands around it. A part of the composition root: the
// only place, beside app.cc, that names concrete adapters.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/timer.h"
#include "server/config/models.h"
#include "server/embedding_stack.h"
#include "server/models/language_model.h"
#include "server/models/model_catalog.h"
#include "server/models/watched_call.h"
#include "server/net/http_client.h"

namespace aibackend {

// A chat model is, outermost first:
//
//   Fallback(                            where the settings name fallbacks, which are other models'
//   bases
//     Retry(                             the base
//       Balance(                         where it has several upstreams
//         CircuitBreaker(ConcurrencyCap(adapter)), …)))
//
// Owns all of them. The models are thread-safe; building is not.
class ModelStack {
 public:
  // `embedded` serves beside them, as the last of the catalog and as a fallback by its name. The
  // catalog gets the models of `embeddings` too.
  // References outlive the stack.
  ModelStack(const std::vector<config::ModelSettings>& settings, net::HttpClient& http,
             Timer& timer, Clock& clock, const EmbeddingStack& embeddings,
             models::LanguageModel& embedded, models::CallWatch watch);

  const models::ModelCatalog& catalog() const { return catalog_; }

 private:
  models::LanguageModel& Own(std::unique_ptr<models::LanguageModel> model);
  models::LanguageModel& BuildUpstream(const config::ModelSettings& model,
                                       const config::UpstreamSettings& upstream);
  models::LanguageModel& BuildBase(const config::ModelSettings& model);

  net::HttpClient& http_;
  Timer& timer_;
  Clock& clock_;
  const models::CallWatch watch_;
  // In the order they were built: a decorator after what it decorates.
  std::vector<std::unique_ptr<models::LanguageModel>> language_;
  models::ModelCatalog catalog_;
};

}  // namespace aibackend
