// Errors as OpenAI's SDKs read them: {"error":{"message","type","param","code"}}.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/transcode/answer_format.h"
#include "gateway/transcode/error.h"

namespace aibackend::gateway {

// What a field of the contract is called in an API; names that are the API's own already stay.
using ParamNames = std::string (*)(absl::string_view field);

std::string SameParam(absl::string_view field);
std::string ChatParam(absl::string_view field);
std::string ResponsesParam(absl::string_view field);

// The members of an error: {"message","type","param","code"}.
std::string OpenAiErrorObject(const ApiError& error, ParamNames names);
// `code`: the reason in lower case, or the word that the SDKs' users look for.
std::string OpenAiErrorCode(const ApiError& error);

// With the status of the reason and Retry-After.
HttpAnswer OpenAiError(const ApiError& error, ParamNames names);

}  // namespace aibackend::gateway
