#include "server/models/anthropic_wire.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "server/base/status.h"
#include "server/models/json_fields.h"
#include "server/models/json_text.h"

namespace aibackend::models {
namespace {

using Object = simdjson::dom::object;

absl::string_view FinishReasonOf(absl::string_view stop_reason) {
  if (stop_reason == "end_turn" || stop_reason == "stop_sequence") return "stop";
  if (stop_reason == "max_tokens") return "length";
  if (stop_reason == "refusal") return "content_filter";
  if (stop_reason == "tool_use") return "tool_calls";
  return stop_reason;
}

// The status that an error of this type comes with where it comes instead of an answer
// (docs.anthropic.com/en/api/errors).
int HttpStatusOf(absl::string_view error_type) {
  static constexpr std::pair<absl::string_view, int> kStatuses[] = {
      {"invalid_request_error", 400}, {"authentication_error", 401},
      {"billing_error", 402},         {"permission_error", 403},
      {"not_found_error", 404},       {"request_too_large", 413},
      {"rate_limit_error", 429},      {"api_error", 500},
      {"timeout_error", 504},         {"overloaded_error", 529}};
  for (const auto& [type, status] : kStatuses) {
    if (type == error_type) return status;
  }
  return 0;
}

// {"type":"error","error":{"type":…,"message":…}}
absl::optional<UpstreamError> ErrorAt(const Object& root) {
  const auto object = ObjectAt(root, "error");
  if (!object) return absl::nullopt;
  UpstreamError error;
  error.message = StringAt(*object, "message");
  error.kind = StringAt(*object, "type");
  error.http_status = HttpStatusOf(error.kind);
  return error;
}

// "input_tokens" are those that the cache neither held nor took.
absl::optional<int> PromptTokensAt(const Object& usage) {
  const auto input = TokensAt(usage, "input_tokens");
  if (!input) return absl::nullopt;
  const int64_t sum = int64_t{*input} + TokensAt(usage, "cache_read_input_tokens").value_or(0) +
                      TokensAt(usage, "cache_creation_input_tokens").value_or(0);
  if (sum > std::numeric_limits<int>::max() / 2) return absl::nullopt;  // as TokensAt
  return static_cast<int>(sum);
}

void ReadUsage(const Object& usage, ReportedUsage* out) {
  out->prompt_tokens = PromptTokensAt(usage);
  out->cached_tokens = TokensAt(usage, "cache_read_input_tokens");
  out->completion_tokens = TokensAt(usage, "output_tokens");
}

// What a whole answer has beside its content, and the last events of a stream have of it.
void ReadEnd(const Object& object, AnswerPiece* piece) {
  piece->finish_reason = FinishReasonOf(TextAt(object, "stop_reason"));
  piece->stop_sequence = TextAt(object, "stop_sequence");
}

void ReadMessageStart(const Object& root, AnswerPiece* piece) {
  const auto message = ObjectAt(root, "message");
  const auto usage = message ? ObjectAt(*message, "usage") : absl::nullopt;
  if (!usage) return;
  ReadUsage(*usage, &piece->usage);
  // Its output_tokens are of the first moment, and no count of the answer.
  piece->usage.completion_tokens = absl::nullopt;
}

// Its place in the answer; calls without one are the last call's.
absl::optional<int64_t> PlaceAt(const Object& root) {
  int64_t place = 0;
  if (root["index"].get(place) != simdjson::SUCCESS) return absl::nullopt;
  return place;
}

void ReadBlockDelta(const Object& root, AnswerPiece* piece) {
  const auto delta = ObjectAt(root, "delta");
  if (!delta) return;
  const absl::string_view type = TextAt(*delta, "type");
  if (type == "text_delta") {
    piece->text = TextAt(*delta, "text");
  } else if (type == "thinking_delta") {
    piece->reasoning = TextAt(*delta, "thinking");
  } else if (type == "input_json_delta") {
    ToolCallPiece& call = piece->tool_calls.emplace_back();
    call.place = PlaceAt(root);
    call.arguments = TextAt(*delta, "partial_json");
  }
}

// The member of that name, as the text of `json` has it.
absl::string_view RawMember(absl::string_view json, absl::string_view name) {
  const auto members = JsonMembers(json);
  if (!members) return {};
  for (const JsonMember& member : *members) {
    if (member.name == name) return member.value;
  }
  return {};
}

// The input of a block that is `json`; empty where it holds nothing: in a stream it follows.
absl::string_view InputOf(absl::string_view json) {
  const absl::string_view input = RawMember(json, "input");
  const auto members = JsonMembers(input);
  return members && !members->empty() ? input : absl::string_view();
}

ToolCallPiece CallOf(const Object& block, absl::string_view json) {
  ToolCallPiece call;
  call.id = TextAt(block, "id");
  call.name = TextAt(block, "name");
  call.arguments = InputOf(json);
  return call;
}

}  // namespace

absl::StatusOr<AnswerPiece> AnthropicReader::ReadEvent(absl::string_view type,
                                                       absl::string_view data) {
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, data));
  AnswerPiece piece;
  const absl::string_view event =
      TextAt(root, "type");  // as the event's name, which proxies may drop
  if (event == "error" || type == "error") {
    piece.error = ErrorAt(root).value_or(UpstreamError());
  } else if (event == "message_start") {
    ReadMessageStart(root, &piece);
  } else if (event == "content_block_delta") {
    ReadBlockDelta(root, &piece);
  } else if (event == "content_block_start") {
    ReadBlockStart(root, data, &piece);
  } else if (event == "message_delta") {
    if (const auto delta = ObjectAt(root, "delta")) ReadEnd(*delta, &piece);
    if (const auto usage = ObjectAt(root, "usage")) ReadUsage(*usage, &piece.usage);  // cumulative
  } else if (event == "message_stop") {
    piece.ends_stream = true;
  }
  piece.has_answer = !piece.text.empty() || !piece.reasoning.empty() || !piece.tool_calls.empty();
  return piece;
}

void AnthropicReader::ReadBlockStart(const Object& root, absl::string_view json,
                                     AnswerPiece* piece) {
  const auto block = ObjectAt(root, "content_block");
  if (!block) return;
  const absl::string_view type = TextAt(*block, "type");
  if (type == "text") piece->text = TextAt(*block, "text");
  if (type == "thinking") piece->reasoning = TextAt(*block, "thinking");
  if (type != "tool_use") return;
  piece->tool_calls.push_back(CallOf(*block, RawMember(json, "content_block")));
  piece->tool_calls.back().place = PlaceAt(root);
}

void AnthropicReader::ReadContent(const simdjson::dom::array& content, absl::string_view json,
                                  AnswerPiece* piece) {
  absl::optional<std::vector<absl::string_view>> raw;  // the blocks as text, once they are needed
  size_t place = 0;
  for (const simdjson::dom::element& element : content) {
    const size_t at = place++;
    Object block;
    if (element.get(block) != simdjson::SUCCESS) continue;
    const absl::string_view type = TextAt(block, "type");
    if (type == "text") absl::StrAppend(&text_, TextAt(block, "text"));
    if (type == "thinking") absl::StrAppend(&reasoning_, TextAt(block, "thinking"));
    if (type != "tool_use") continue;
    if (!raw)
      raw = JsonElements(RawMember(json, "content")).value_or(std::vector<absl::string_view>());
    piece->tool_calls.push_back(CallOf(block, at < raw->size() ? (*raw)[at] : absl::string_view()));
    piece->tool_calls.back().place = static_cast<int64_t>(at);
  }
  piece->text = text_;
  piece->reasoning = reasoning_;
}

absl::StatusOr<AnswerPiece> AnthropicReader::ReadWhole(absl::string_view body) {
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, body));
  AnswerPiece piece;
  piece.error = ErrorAt(root);
  if (piece.error) return piece;
  simdjson::dom::array content;
  piece.has_answer = root["content"].get(content) == simdjson::SUCCESS;
  if (!piece.has_answer) return piece;
  text_.clear();
  reasoning_.clear();
  ReadContent(content, body, &piece);
  ReadEnd(root, &piece);
  if (const auto usage = ObjectAt(root, "usage")) ReadUsage(*usage, &piece.usage);
  return piece;
}

UpstreamError AnthropicReader::ReadError(absl::string_view body) {
  const auto root = ParseObject(parser_, body);
  return root.ok() ? ErrorAt(*root).value_or(UpstreamError()) : UpstreamError();
}

}  // namespace aibackend::models
