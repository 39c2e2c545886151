// The contract's own shapes: JSON of the messages, server-sent events, bare text.
#pragma once

#include <memory>

#include "gateway/transcode/answer_format.h"
#include "gateway/transcode/route_table.h"

namespace aibackend::gateway {

// The message as JSON, with the route's status; {"error":{…}}.
std::unique_ptr<UnaryFormat> MakeContractFormat(const Route& route);

// A message with a oneof `event` that has a `done` is an answer in pieces: `done` is the last
// event, held back until the call is OK, and must come, or the stream is an error; each other
// member is a data event {"<member>": …}, with the message's repeated fields where they hold
// something; its `sequence`, or a count, is the event's id. Any other message is one data event,
// and the stream is complete when the call is OK. An error is the event `error`.
std::unique_ptr<StreamFormat> MakeEventStreamFormat(const Route& route);

// The strings named `delta` and nothing else; of other messages a line of JSON each. Has no place
// for errors and heartbeats.
std::unique_ptr<StreamFormat> MakePlainTextFormat(const Route& route);

// The pieces of a file, for a route that is_raw_body: `data` of its messages. A stream that fails
// midway breaks the connection.
std::unique_ptr<StreamFormat> MakeRawBodyFormat(const Route& route);

}  // namespace aibackend::gateway
