#include "server/rpc/convert_chat.h"

#include <climits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/models/json_fields.h"
#include "server/rpc/convert.h"
#include "server/rpc/request_detail.h"

namespace aibackend::rpc {
namespace {

using models::ContentPart;
using models::Role;

absl::optional<Role> ToRole(const std::string& role) {
  if (role == "system" || role == "developer") return Role::kSystem;
  if (role == "user") return Role::kUser;
  if (role == "assistant") return Role::kAssistant;
  if (role == "tool") return Role::kTool;
  return absl::nullopt;
}

absl::Status CheckObject(const std::string& json, const std::string& field) {
  simdjson::dom::parser parser;
  if (models::ParseObject(parser, json).ok()) return absl::OkStatus();
  return MakeError(Reason::FIELD_INVALID, "must be a JSON object", field);
}

absl::Status CheckObjectOrEmpty(const std::string& json, const std::string& field) {
  return json.empty() ? absl::OkStatus() : CheckObject(json, field);
}

// The name that newer models of OpenAI's know max_tokens by: what it says is the limit.
absl::Status TakeMaxCompletionTokens(const simdjson::dom::element& value,
                                     absl::optional<int>& max_tokens) {
  constexpr char kField[] = "extra.max_completion_tokens";
  int64_t tokens = 0;
  if (value.get(tokens) != simdjson::SUCCESS || tokens < 0 || tokens > INT_MAX) {
    return MakeError(Reason::FIELD_INVALID, "must be a number of tokens", kField);
  }
  if (max_tokens && *max_tokens != tokens) {
    return MakeError(Reason::FIELD_INVALID, "says another number than max_tokens", kField);
  }
  max_tokens = static_cast<int>(tokens);
  return absl::OkStatus();
}

// What goes to the model as it is, but for limits by another name.
absl::Status TakeExtra(const std::string& extra, absl::optional<int>& max_tokens) {
  static const auto* const words = new absl::flat_hash_set<absl::string_view>{
      "messages",       "system",      "prompt",      "model",           "temperature",
      "user",           "max_tokens",  "tools",       "response_format", "stop",
      "seed",           "tool_choice", "top_p",       "top_logprobs",    "logprobs",
      "stream",         "retrieval",   "input",       "stream_options",  "dimensions",
      "stop_sequences", "n_predict",   "num_predict", "max_new_tokens",  "max_output_tokens"};
  if (extra.empty()) return absl::OkStatus();
  simdjson::dom::parser parser;
  const auto object = models::ParseObject(parser, extra);
  if (!object.ok()) return MakeError(Reason::FIELD_INVALID, "must be a JSON object", "extra");
  for (const auto& member : *object) {
    const absl::string_view name(member.key.data(), member.key.size());
    const std::string field = absl::StrCat("extra.", name);
    if (name == "max_completion_tokens") {
      AIB_RETURN_IF_ERROR(TakeMaxCompletionTokens(member.value, max_tokens));
    }
    if (name == "n" || name == "best_of") {  // which would be paid n times, and given once
      return MakeError(Reason::FIELD_INVALID, "cannot be set: a request has one answer", field);
    }
    if (words->contains(name)) {
      return MakeError(Reason::FIELD_INVALID,
                       "cannot go to the model as it is: the contract has a field for it", field);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ContentPart> ToPart(const v1::ContentPart& part, const std::string& field) {
  ContentPart out;
  switch (part.part_case()) {
    case v1::ContentPart::kText:
      out.text = part.text();
      return out;
    case v1::ContentPart::kImageUrl:
      out.kind = ContentPart::Kind::kImage;
      out.url = part.image_url().url();
      out.detail = part.image_url().detail();
      return out;
    case v1::ContentPart::kRaw:
      AIB_RETURN_IF_ERROR(CheckObject(part.raw(), absl::StrCat(field, ".raw")));
      out.kind = ContentPart::Kind::kRaw;
      out.text = part.raw();
      return out;
    case v1::ContentPart::PART_NOT_SET:
      break;
  }
  return MakeError(Reason::FIELD_REQUIRED, "a part has a text, an image_url or a raw", field);
}

absl::StatusOr<models::ChatMessage> ToMessage(const v1::Message& message,
                                              const std::string& field) {
  const auto role = ToRole(message.role());
  if (!role) {
    return MakeError(
        Reason::ROLE_UNKNOWN,
        absl::StrCat("role '", message.role(), "' is none of system, user, assistant, tool"),
        absl::StrCat(field, ".role"));
  }
  models::ChatMessage out;
  out.role = *role;
  out.content = message.content();
  for (int i = 0; i < message.parts_size(); ++i) {
    AIB_ASSIGN_OR_RETURN(auto part,
                         ToPart(message.parts(i), absl::StrCat(field, ".parts[", i, "]")));
    out.parts.push_back(std::move(part));
  }
  for (const v1::ToolCall& call : message.tool_calls()) {
    out.tool_calls.push_back({call.id(), call.name(), call.arguments()});
  }
  out.tool_call_id = message.tool_call_id();
  out.name = message.name();
  return out;
}

absl::StatusOr<std::vector<models::ChatMessage>> ToMessages(const v1::ChatRequest& request) {
  std::vector<models::ChatMessage> messages;
  if (!request.prompt().empty()) {
    if (request.messages_size() > 0) {
      return MakeError(Reason::FIELD_INVALID, "prompt and messages exclude each other", "prompt");
    }
    messages.emplace_back();
    messages.back().content = request.prompt();
  }
  for (int i = 0; i < request.messages_size(); ++i) {
    AIB_ASSIGN_OR_RETURN(auto message,
                         ToMessage(request.messages(i), absl::StrCat("messages[", i, "]")));
    messages.push_back(std::move(message));
  }
  return messages;
}

absl::StatusOr<models::ToolChoice> ToChoice(const v1::ToolChoice& choice) {
  using Mode = models::ToolChoice::Mode;
  models::ToolChoice out;
  out.name = choice.name();
  if (choice.mode() == "auto") {
    out.mode = Mode::kAuto;
  } else if (choice.mode() == "none") {
    out.mode = Mode::kNone;
  } else if (choice.mode() == "required") {
    out.mode = Mode::kRequired;
  } else if (choice.mode() == "tool") {
    out.mode = Mode::kTool;
  } else {
    return MakeError(
        Reason::FIELD_INVALID,
        absl::StrCat("mode '", choice.mode(), "' is none of auto, none, required, tool"),
        "tool_choice.mode");
  }
  return out;
}

absl::StatusOr<models::ResponseFormat> ToFormat(const v1::ResponseFormat& format) {
  using Type = models::ResponseFormat::Type;
  models::ResponseFormat out;
  if (format.type() == "text") {
    out.type = Type::kText;
  } else if (format.type() == "json_object") {
    out.type = Type::kJsonObject;
  } else if (format.type() == "json_schema") {
    out.type = Type::kJsonSchema;
  } else {
    return MakeError(
        Reason::FIELD_INVALID,
        absl::StrCat("type '", format.type(), "' is none of text, json_object, json_schema"),
        "response_format.type");
  }
  AIB_RETURN_IF_ERROR(CheckObjectOrEmpty(format.schema(), "response_format.schema"));
  out.name = format.name();
  out.description = format.description();
  out.schema = format.schema();
  if (format.has_strict()) out.strict = format.strict();
  return out;
}

absl::StatusOr<models::Tool> ToTool(const v1::Tool& tool, const std::string& field) {
  AIB_RETURN_IF_ERROR(CheckObjectOrEmpty(tool.parameters(), absl::StrCat(field, ".parameters")));
  models::Tool out;
  out.name = tool.name();
  out.description = tool.description();
  out.parameters = tool.parameters();
  if (tool.has_strict()) out.strict = tool.strict();
  return out;
}

absl::StatusOr<chat::RetrievalChoice> ToRetrieval(const v1::RetrievalOptions& retrieval,
                                                  const std::string& tenant) {
  chat::RetrievalChoice out;
  if (retrieval.has_enabled()) out.enabled = retrieval.enabled();
  if (retrieval.has_top_k()) out.top_k = retrieval.top_k();
  if (retrieval.has_strict()) out.strict = retrieval.strict();
  out.collection = CollectionOf(retrieval.collection(), tenant);
  AIB_ASSIGN_OR_RETURN(out.mode, ModeOf(retrieval.mode(), "retrieval.mode"));
  AIB_ASSIGN_OR_RETURN(out.filter, retrieval::ParseFilter(retrieval.filter(), "retrieval.filter"));
  AIB_ASSIGN_OR_RETURN(out.min_score, MinScoreOf(retrieval, "retrieval.min_score"));
  return out;
}

void Fill(const models::Citation& citation, v1::Citation* out) {
  out->set_document_id(citation.document_id);
  out->set_chunk_id(citation.chunk_id);
  out->set_start(static_cast<int>(citation.start));
  out->set_end(static_cast<int>(citation.end));
  out->set_text(citation.text);
  out->set_title(citation.title);
  out->set_source(citation.source);
  out->set_number(citation.number);
}

}  // namespace

namespace {

constexpr int kCacheAgeSecondsMax = 86'400;

absl::StatusOr<chat::CacheChoice> ToCache(const v1::CacheOptions& cache) {
  chat::CacheChoice choice;
  if (cache.mode() == "off") choice.mode = chat::CacheMode::kOff;
  if (cache.mode() == "exact") choice.mode = chat::CacheMode::kExact;
  if (cache.mode() == "semantic") choice.mode = chat::CacheMode::kSemantic;
  if (!cache.mode().empty() && !choice.mode) {
    return MakeError(Reason::FIELD_INVALID, "must be off, exact or semantic", "cache.mode");
  }
  if (cache.has_threshold()) {
    if (!(cache.threshold() >= 0 && cache.threshold() <= 1)) {
      return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be from 0 to 1", "cache.threshold");
    }
    choice.threshold = cache.threshold();
  }
  if (cache.has_max_age_seconds()) {
    if (cache.max_age_seconds() < 1 || cache.max_age_seconds() > kCacheAgeSecondsMax) {
      return MakeError(Reason::FIELD_OUT_OF_RANGE,
                       absl::StrCat("must be from 1 to ", kCacheAgeSecondsMax),
                       "cache.max_age_seconds");
    }
    choice.max_age = absl::Seconds(cache.max_age_seconds());
  }
  return choice;
}

}  // namespace

absl::StatusOr<chat::TurnRequest> ToTurn(const v1::ChatRequest& request,
                                         const std::string& tenant) {
  chat::TurnRequest turn;
  models::GenerateRequest& generate = turn.generate;
  AIB_ASSIGN_OR_RETURN(generate.messages, ToMessages(request));
  generate.model = request.model();
  generate.user = request.user();
  if (request.has_temperature()) generate.temperature = request.temperature();
  if (request.has_top_p()) generate.top_p = request.top_p();
  if (request.has_max_tokens()) generate.max_tokens = request.max_tokens();
  if (request.has_seed()) generate.seed = request.seed();
  if (request.has_top_logprobs()) generate.top_logprobs = request.top_logprobs();
  generate.stop.assign(request.stop().begin(), request.stop().end());
  for (int i = 0; i < request.tools_size(); ++i) {
    AIB_ASSIGN_OR_RETURN(auto tool, ToTool(request.tools(i), absl::StrCat("tools[", i, "]")));
    generate.tools.push_back(std::move(tool));
  }
  if (request.has_tool_choice()) {
    AIB_ASSIGN_OR_RETURN(generate.tool_choice, ToChoice(request.tool_choice()));
  }
  if (request.has_response_format()) {
    AIB_ASSIGN_OR_RETURN(generate.response_format, ToFormat(request.response_format()));
  }
  AIB_RETURN_IF_ERROR(TakeExtra(request.extra(), generate.max_tokens));
  generate.extra = request.extra();
  AIB_ASSIGN_OR_RETURN(turn.retrieval, ToRetrieval(request.retrieval(), tenant));
  AIB_ASSIGN_OR_RETURN(turn.cache, ToCache(request.cache()));
  return turn;
}

std::string PromptOf(const v1::ChatRequest& request) {
  for (int i = request.messages_size() - 1; i >= 0; --i) {
    const v1::Message& message = request.messages(i);
    if (message.role() != "user") continue;
    if (message.parts_size() == 0) return message.content();
    std::string text;
    for (const v1::ContentPart& part : message.parts()) absl::StrAppend(&text, part.text());
    return text;
  }
  return request.prompt();
}

void FillUsage(const models::TokenUsage& usage, v1::Usage* out) {
  out->set_prompt_tokens(usage.prompt_tokens);
  out->set_completion_tokens(usage.completion_tokens);
  out->set_total_tokens(usage.prompt_tokens + usage.completion_tokens);
  out->set_estimated(usage.estimated);
  out->set_cached_tokens(usage.cached_tokens);
  out->set_reasoning_tokens(usage.reasoning_tokens);
}

void Fill(const models::TokenLogprob& logprob, v1::TokenLogprob* out) {
  out->set_token(logprob.token);
  out->set_logprob(logprob.logprob);
  for (const int byte : logprob.bytes) out->add_bytes(byte);
  for (const auto& other : logprob.top_logprobs) Fill(other, out->add_top_logprobs());
}

void Fill(const models::ToolCallDelta& piece, v1::ToolCallDelta* out) {
  out->set_index(piece.index);
  out->set_id(piece.id);
  out->set_name(piece.name);
  out->set_arguments(piece.arguments);
}

void FillDone(const chat::TurnResult& result, const std::string& id, v1::ChatResponse* out) {
  out->set_id(id);
  out->set_model(result.model);
  out->set_finish_reason(result.finish_reason);
  out->set_stop_sequence(result.stop_sequence);
  out->set_outcome(result.outcome == models::Outcome::kNoContext ? v1::ChatResponse::NO_CONTEXT
                                                                 : v1::ChatResponse::ANSWERED);
  for (const auto& citation : result.citations) Fill(citation, out->add_citations());
  out->set_dropped_citations(result.dropped_citations);
  FillUsage(result.usage, out->mutable_usage());
  FillCost(result.cost, result.price_unknown, out);
  out->set_cache(result.cache);
  for (const std::string& guardrail : result.guardrails) out->add_guardrails(guardrail);
  out->set_response_time_ms(static_cast<int>(absl::ToInt64Milliseconds(result.elapsed)));
  out->set_confidence(result.confidence);
}

void FillWhole(const chat::TurnResult& result, const std::string& id, v1::ChatResponse* out) {
  FillDone(result, id, out);
  out->set_response(result.answer.text);
  out->set_reasoning(result.answer.reasoning);
  for (const models::ToolCall& call : result.answer.tool_calls) {
    v1::ToolCall* row = out->add_tool_calls();
    row->set_id(call.id);
    row->set_name(call.name);
    row->set_arguments(call.arguments);
  }
  for (const auto& logprob : result.answer.logprobs) Fill(logprob, out->add_logprobs());
}

void Account(const chat::TurnResult& result, usage::RequestRow& row) {
  row.model = result.model;
  row.response = result.answer.text;
  row.ttft_ms = static_cast<int>(absl::ToInt64Milliseconds(result.time_to_first_token));
  row.guardrails = absl::StrJoin(result.guardrails, ",");
  row.cache = result.cache;
  row.detail = DetailOf(result);
  if (!result.cache.empty()) return;  // nothing was used: the first answer's row has it
  row.prompt_tokens = result.usage.prompt_tokens;
  row.completion_tokens = result.usage.completion_tokens;
  row.usage_estimated = result.usage.estimated;
  row.cached_tokens = result.usage.cached_tokens;
  row.reasoning_tokens = result.usage.reasoning_tokens;
  row.upstream_calls = result.upstream_calls;
  row.cost = result.cost;
  row.price_unknown = result.price_unknown;
  row.price_version = result.price_version;
}

void Price(const usage::PriceBook& prices, usage::RequestRow& row) {
  const usage::Priced priced = prices.Cost(row.model, {row.prompt_tokens, row.completion_tokens,
                                                       row.cached_tokens, row.reasoning_tokens});
  row.cost = priced.cost;
  // Nothing costs nothing, whatever the price.
  row.price_unknown = priced.unknown && row.prompt_tokens + row.completion_tokens > 0;
  row.price_version = priced.price_version;
}

absl::StatusOr<models::EmbedRequest> ToEmbed(const v1::EmbedRequest& request) {
  if (request.input_size() == 0) {
    return MakeError(Reason::FIELD_REQUIRED, "input must hold at least one text", "input");
  }
  if (request.input_size() > kEmbedInputsMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("input holds ", request.input_size(), " texts; at most ",
                                  kEmbedInputsMax, " are taken"),
                     "input");
  }
  size_t bytes = 0;
  for (int i = 0; i < request.input_size(); ++i) {
    if (request.input(i).empty()) {
      return MakeError(Reason::FIELD_REQUIRED, "a text must not be empty",
                       absl::StrCat("input[", i, "]"));
    }
    bytes += request.input(i).size();
  }
  if (bytes > kEmbedBytesMax) {
    return MakeError(
        Reason::REQUEST_TOO_LARGE,
        absl::StrCat("input holds ", bytes, " bytes; at most ", kEmbedBytesMax, " are taken"),
        "input");
  }
  if (request.has_dimensions() && request.dimensions() < 1) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE, "dimensions must be at least 1", "dimensions");
  }
  absl::optional<int> max_tokens;  // there is no answer to limit
  AIB_RETURN_IF_ERROR(TakeExtra(request.extra(), max_tokens));
  models::EmbedRequest out;
  out.model = request.model();
  out.inputs.assign(request.input().begin(), request.input().end());
  if (request.has_dimensions()) out.dimensions = request.dimensions();
  out.user = request.user();
  out.extra = request.extra();
  return out;
}

}  // namespace aibackend::rpc
