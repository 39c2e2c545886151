// What a request can cost at most, held against its caller's quotas before a model is asked.
#pragma once

#include "absl/status/status.h"
#include "server/access/meter.h"
#include "server/models/embedding_model.h"
#include "server/models/language_model.h"
#include "server/usage/price_book.h"

namespace aibackend::chat {

// Tokens that no model can count above: a token is a byte of text at least, in the tokenizers that
// are used (byte-pair encoding over bytes). Chat templates, tools, pictures and files add what
// they may at most.
int64_t PromptTokensAtMost(const models::GenerateRequest& request);
int64_t PromptTokensAtMost(const models::EmbedRequest& request);

// Reserves the most that the request can cost with `model` or one of its fallbacks. Where the
// caller has a quota and the request names no max_tokens, it gets `answer_tokens`, or as many as
// the quota still has: then the model keeps to what is reserved. Where nothing is metered, does
// nothing. May block on the database, as Pass::Reserve does. Errors: those of Pass::Reserve;
// PRICE_UNKNOWN where a limit is on money and one of the models has no price.
absl::Status ReserveTurn(access::Pass& pass, const usage::PriceBook& prices, int answer_tokens,
                         const models::ModelInfo& model, models::GenerateRequest& request);
absl::Status ReserveEmbedding(access::Pass& pass, const usage::PriceBook& prices,
                              const models::ModelInfo& model, const models::EmbedRequest& request);

}  // namespace aibackend::chat
