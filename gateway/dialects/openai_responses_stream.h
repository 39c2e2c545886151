// OpenAI's Responses API, as it is answered in events.
#pragma once

#include <memory>
#include <string>

#include "gateway/dialects/openai_answer.h"
#include "gateway/transcode/answer_format.h"

namespace aibackend::gateway {

// ChatStreamEvents as `event: response.…`: created and in_progress, for each item added, its pieces
// and done, and last completed or incomplete. One that fails after it began ends in response.failed
// and in an `error` event, for which the SDKs throw. Holds the text so far, as the events that end
// an item repeat it. `echo`: OpenAiResponses::echo.
std::unique_ptr<StreamFormat> MakeResponseEvents(AnswerHead head, std::string echo);

}  // namespace aibackend::gateway
