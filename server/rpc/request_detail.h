// What a ledger row keeps of a turn beside its figures: when what happened, and which passages the
// model was given. JSON in the row's `detail`, a RequestView in the contract.
#pragma once

#include <string>

#include "aibackend/v1/usage.pb.h"
#include "server/chat/chat_service.h"

namespace aibackend::rpc {

// {"timeline": [["retrieved", 1.25, "note"], …], "passages": ["id#0", …], "confidence": 0.7}
std::string DetailOf(const chat::TurnResult& result);

// Leaves out what can't be read: a row of another release, or one whose content was purged.
void FillDetail(const std::string& detail, v1::RequestView* out);

}  // namespace aibackend::rpc
