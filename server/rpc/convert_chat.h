// The contract's messages of chats and embeddings ↔ the types of chat/ and models/.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "aibackend/v1/chat.pb.h"
#include "aibackend/v1/embeddings.pb.h"
#include "server/chat/chat_service.h"
#include "server/models/embedding_model.h"
#include "server/usage/ledger.h"
#include "server/usage/price_book.h"

namespace aibackend::rpc {

inline constexpr int kEmbedInputsMax = 2048;
inline constexpr size_t kEmbedBytesMax = size_t{4} * 1024 * 1024;

// Errors: ROLE_UNKNOWN; FIELD_INVALID (prompt together with messages, a word that is none of a
// field's, text that should be JSON). What a turn may ask for is chat's to say.
absl::StatusOr<chat::TurnRequest> ToTurn(const v1::ChatRequest& request, const std::string& tenant);
// What the ledger keeps as the prompt: the last user message.
std::string PromptOf(const v1::ChatRequest& request);

// All of the answer, in one message.
void FillWhole(const chat::TurnResult& result, const std::string& id, v1::ChatResponse* out);
// Everything but what deltas have carried.
void FillDone(const chat::TurnResult& result, const std::string& id, v1::ChatResponse* out);
void Fill(const models::ToolCallDelta& piece, v1::ToolCallDelta* out);
void Fill(const models::TokenLogprob& logprob, v1::TokenLogprob* out);
// A turn's account, into its ledger row.
void Account(const chat::TurnResult& result, usage::RequestRow& row);
// What the row's tokens cost, into the row; for what isn't a turn.
void Price(const usage::PriceBook& prices, usage::RequestRow& row);

// Errors: FIELD_REQUIRED, FIELD_OUT_OF_RANGE, REQUEST_TOO_LARGE, FIELD_INVALID.
absl::StatusOr<models::EmbedRequest> ToEmbed(const v1::EmbedRequest& request);
void FillUsage(const models::TokenUsage& usage, v1::Usage* out);

// Into the three fields of an answer that has a cost: an unknown one is marked, and never 0.
template <class WithCost>
void FillCost(NanoUsd cost, bool price_unknown, WithCost* out) {
  out->set_price_unknown(price_unknown);
  if (price_unknown) return;
  out->set_estimated_cost(ToUsd(cost));
  out->set_cost_nano_usd(cost.value);
}

}  // namespace aibackend::rpc
