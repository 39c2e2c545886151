// What the requests of OpenAI's chat APIs have in common.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "aibackend/v1/chat.pb.h"
#include "gateway/dialects/json_node.h"

namespace aibackend::gateway {

// `user`, or what has come in its place.
std::string ReadUser(const JsonNode& body);

// temperature, top_p.
void ReadSampling(const JsonNode& body, v1::ChatRequest& chat);

// The name, description, parameters and strict of `function`.
void ReadFunction(const JsonNode& function, v1::Tool& tool);

// A string, or what names one function: `function` is where its name stands.
void ReadToolChoice(const JsonNode& choice, const JsonNode& function, v1::ChatRequest& chat);

// The type stands in `format`; what a json_schema has besides stands in `schema`.
void ReadFormat(const JsonNode& format, const JsonNode& schema, v1::ChatRequest& chat);

void ReadImage(const JsonNode& url, const JsonNode& detail, v1::Message& message);

// The text of an object; empty where it is absent, a problem where it is something else.
std::string RawObject(const JsonNode& node);
void MustBeObject(const JsonNode& node);

// Those members of `body` that aren't `known`.
void AddUnknown(const JsonNode& body, absl::Span<const absl::string_view> known,
                JsonObjectText& extra);

}  // namespace aibackend::gateway
