// The models, in one shape that suits OpenAI's SDKs, Anthropic's and callers of the contract.
#pragma once

#include <memory>
#include <string>

#include "gateway/transcode/answer_format.h"

namespace aibackend::gateway {

// A ListModelsResponse as {"object":"list","data":[…],"has_more":false,"first_id","last_id",
// "models":[the contract's]}. An alias is an entry of its own.
std::unique_ptr<UnaryFormat> MakeModelList();

// The entry of one model, by id or alias, also as "docs/<id>"; MODEL_NOT_FOUND where there is none.
std::unique_ptr<UnaryFormat> MakeModelEntry(std::string id);

}  // namespace aibackend::gateway
