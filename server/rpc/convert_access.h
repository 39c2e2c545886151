// The contract's messages of keys and limits ↔ the types of access/.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "aibackend/v1/keys.pb.h"
#include "server/access/key_store.h"
#include "server/access/meter.h"

namespace aibackend::rpc {

access::Limits ToLimits(const v1::Limits& limits);
void Fill(const access::Limits& limits, v1::Limits* out);

// `now`: what expires_in_seconds counts from. FIELD_INVALID where the expiry is given twice,
// FIELD_OUT_OF_RANGE where it can't be.
absl::StatusOr<access::KeySpec> ToKeySpec(const v1::CreateKeyRequest& request, absl::Time now);
absl::StatusOr<access::KeyChange> ToKeyChange(const v1::UpdateKeyRequest& request);
void Fill(const access::KeyInfo& key, v1::ApiKey* out);
void Fill(const access::NewKey& key, v1::CreateKeyResponse* out);

void Fill(const access::QuotaState& state, v1::Quota* out);

}  // namespace aibackend::rpc
