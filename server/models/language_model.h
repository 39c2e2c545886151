// The port to language models: everything that can continue a conversation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "server/telemetry/tracer.h"

namespace aibackend::models {

enum class Role { kSystem, kUser, kAssistant, kTool };

// A piece of a message that isn't one text alone.
struct ContentPart {
  enum class Kind { kText, kImage, kRaw };
  Kind kind = Kind::kText;
  std::string text;    // of kText; of kRaw the JSON object, in the model's own form
  std::string url;     // of kImage: https:… or data:…;base64,…
  std::string detail;  // of kImage, may be empty
};

// The model asks for a tool to be run.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // as the model wrote it; not always JSON
};

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;               // UTF-8
  std::vector<ContentPart> parts;    // instead of content
  std::vector<ToolCall> tool_calls;  // of kAssistant
  std::string tool_call_id;          // of kTool
  std::string name;                  // who speaks; may be empty
};

// Its content, or the text parts, one after another.
std::string TextOf(const ChatMessage& message);

// What the user said last; after it there may be tool calls and their answers.
std::string LastUserText(const std::vector<ChatMessage>& messages);

// JSON, as text, is carried as it came: order of names and numbers untouched.
struct Tool {
  std::string name;
  std::string description;
  std::string parameters;  // a JSON Schema, or empty
  absl::optional<bool> strict;
};

struct ToolChoice {
  enum class Mode { kAuto, kNone, kRequired, kTool };
  Mode mode = Mode::kAuto;
  std::string name;  // of kTool
};

struct ResponseFormat {
  enum class Type { kText, kJsonObject, kJsonSchema };
  Type type = Type::kText;
  std::string name;  // these of kJsonSchema
  std::string description;
  std::string schema;  // JSON
  absl::optional<bool> strict;
};

// A piece of a stored document: text == stored text [start, start + text.size()).
struct Passage {
  std::string document_id;
  std::string chunk_id;
  std::string title;
  std::string source;
  std::string text;
  size_t start = 0;  // bytes
  double score = 0;  // 0 to 1 within one query
};

// Below this confidence the documents don't answer the question (measured on public collections: it
// refuses .88 of foreign questions and answers .90 of a collection's own).
inline constexpr double kConfidenceMin = 0.47;

// The answer of the outcome NO_CONTEXT.
inline constexpr char kNoContextAnswer[] =
    "No context found: the stored documents do not answer this question.";

// What retrieval found for the turn's question, best first.
struct Grounding {
  std::vector<Passage> passages;
  double confidence = 0;               // 0 to 1, see kConfidenceMin
  bool strict = false;                 // answer only from the passages
  std::string collection = "default";  // that the passages are from
  std::string tenant = "default";      // whose collection it is
};

struct Citation {
  std::string document_id;
  std::string chunk_id;
  std::string title;
  std::string source;
  std::string text;
  size_t start = 0;  // bytes into the stored document
  size_t end = 0;
  int number = 0;  // that marks it in the answer's text, as in [2]; 0: the text has no marks
};

struct GenerateRequest {
  std::string request_id;
  telemetry::TraceContext trace;      // of the request; may be none
  std::string model;                  // the id the client named, as ListModels gives it
  std::vector<ChatMessage> messages;  // the last one is the user's or a tool's
  absl::optional<double> temperature;
  absl::optional<double> top_p;
  absl::optional<int> max_tokens;
  absl::optional<int64_t> seed;
  absl::optional<int> top_logprobs;  // absent: no logprobs
  std::vector<std::string> stop;
  std::vector<Tool> tools;
  absl::optional<ToolChoice> tool_choice;
  absl::optional<ResponseFormat> response_format;
  std::string extra;  // a JSON object whose members join the upstream's request, or empty
  std::string user;
  bool stream = false;  // false: nobody watches the deltas, so they may come at once
  // Absent: retrieval is off for this turn. The passages are for the prompt as they are, numbered
  // from 1.
  absl::optional<Grounding> grounding;
};

struct TokenUsage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  bool estimated = false;
  int cached_tokens = 0;     // of prompt_tokens
  int reasoning_tokens = 0;  // of completion_tokens
};

struct TokenLogprob {
  std::string token;
  double logprob = 0;
  std::vector<int> bytes;                  // each 0 to 255; empty where the model told none
  std::vector<TokenLogprob> top_logprobs;  // without theirs
};

// What they hold in memory, about.
size_t MemoryBytes(const std::vector<TokenLogprob>& logprobs);

// The first piece of an index has id and name; the arguments concatenate.
struct ToolCallDelta {
  int index = 0;  // from 0, without gaps
  std::string id;
  std::string name;
  std::string arguments;
};

// A piece of an answer: any of it may be empty, not all. Views, valid during the call.
struct Delta {
  absl::string_view text;
  absl::string_view reasoning;
  absl::Span<const ToolCallDelta> tool_calls;
  absl::Span<const TokenLogprob> logprobs;  // of the text
  // The text is quoted from documents: what looks like a citation's mark in it is theirs.
  bool is_quoted = false;

  Delta() = default;
  explicit Delta(absl::string_view t) : text(t) {}
};

enum class Outcome { kAnswered, kNoContext };

// How a generation ended, also one that failed or was cancelled.
struct GenerateResult {
  absl::Status status;  // CANCELLED after Cancel(); what was generated until then is in `usage`
  // When status is OK: "stop", "length", "tool_calls" or "content_filter", or an upstream's own.
  std::string finish_reason;
  std::string stop_sequence;  // the one of `stop` that ended it, where the model tells
  Outcome outcome = Outcome::kAnswered;
  TokenUsage usage;
  std::vector<Citation> citations;  // of a model whose text has no marks
  // The id of the model that answered, where it may be another than the one asked (fallbacks).
  std::string model;
  int upstream_calls = 0;  // how often a model server was called
};

// Receives one generation. Called by one thread at a time; never from inside Generate() or
// Cancel().
class GenerateSink {
 public:
  virtual ~GenerateSink() = default;
  virtual void OnDelta(const Delta& delta) = 0;
  virtual void OnDone(GenerateResult result) = 0;  // exactly once, last
};

// A generation under way. Dropping it does not cancel it.
class Generation {
 public:
  virtual ~Generation() = default;
  // Asks it to stop: OnDone follows soon, with CANCELLED unless it had ended. Idempotent,
  // thread-safe, doesn't block.
  virtual void Cancel() = 0;
};

struct ModelInfo {
  std::string id;
  std::string provider;
  std::string description;
  std::vector<std::string> ignored_parameters;
  double temperature_max = 2;          // a turn with more is not for this model
  std::vector<std::string> aliases;    // told by the catalog
  std::vector<std::string> fallbacks;  // ids of the models that may answer in its place
  // False: it answers from documents alone, so that they are always searched, and it takes neither
  // tools nor images nor a response format.
  bool is_general = true;
  int context_tokens = 0;  // prompt and answer together; 0: unknown
  // Of an answer where the request names no max_tokens; 0: the model's own limit.
  int answer_tokens_default = 0;
};

// An estimate of what a model counts as the prompt: messages with images and tool calls, tools and
// schema; not the passages. The second takes other messages than the request's.
int EstimatePromptTokens(const GenerateRequest& request);
int EstimatePromptTokens(const GenerateRequest& request, const std::vector<ChatMessage>& messages);

// A language model that answers in pieces. Thread-safe; many generations run at once.
//
// Generate() returns at once and doesn't block. `sink` then sees deltas in order, and exactly one
// OnDone, whether the answer ended, failed or was cancelled; the model keeps the sink alive until
// then. Errors: UPSTREAM_* reasons, or FIELD_INVALID for what this model can never do.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual ModelInfo info() const = 0;
  virtual std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                               std::shared_ptr<GenerateSink> sink) = 0;
};

}  // namespace aibackend::models
