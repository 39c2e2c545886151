// Answers as bytes, for the database: the contract's ChatResponse.
#pragma once

#include "server/chat/kept_answers.h"

namespace aibackend::rpc {

// Keeps what a client gets of an answer, and nothing more (no upstream calls, no time to the first
// token).
chat::AnswerCodec MakeAnswerCodec();

}  // namespace aibackend::rpc
