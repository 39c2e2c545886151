// A call of an upstream that can be cancelled, whoever hears its answer.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/models/language_model.h"
#include "server/net/http_client.h"

namespace aibackend::models {

// Thread-safe. Its handler's methods run on the HTTP client's event thread.
class UpstreamCall : public Generation, public net::HttpHandler {
 public:
  // The call this answers. The answer may have begun, or ended, before this.
  void Attach(std::shared_ptr<net::HttpCall> call) {
    absl::MutexLock lock(&mutex_);
    call_ = std::move(call);
    if (cancelled_) call_->Cancel();
  }

  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (call_ != nullptr) call_->Cancel();
  }

 private:
  absl::Mutex mutex_;
  std::shared_ptr<net::HttpCall> call_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace aibackend::models
