// OpenAI's chat completions, as they are answered: whole, or in chunks.
#pragma once

#include <memory>

#include "gateway/dialects/openai_answer.h"
#include "gateway/transcode/answer_format.h"

namespace aibackend::gateway {

// {"object":"chat.completion",…} of a ChatResponse. Reasoning is message.reasoning_content; what
// an answer from documents rests on is `citations`, the contract's own, at the top.
std::unique_ptr<UnaryFormat> MakeChatCompletion(AnswerHead head);

// `data: {"object":"chat.completion.chunk",…}` of ChatStreamEvents: the role first, then the
// pieces, then finish_reason (with `citations`), then with `include_usage` the usage, and `data:
// [DONE]`, without which a stream isn't whole: one that fails ends in `data: {"error":{…}}`.
std::unique_ptr<StreamFormat> MakeChatChunks(AnswerHead head, bool include_usage);

}  // namespace aibackend::gateway
