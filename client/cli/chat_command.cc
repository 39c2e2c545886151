// aibackend chat
#include <unistd.h>

#include <memory>
#include <optional>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_join.h"
#include "client/cli/chat_repl.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/turn.h"

namespace aibackend::cli {
namespace {

constexpr size_t kPromptBytesMax = 1 << 20;  // of stdin: far more than any model's context

struct ChatArguments {
  std::vector<std::string> prompt;
  std::string model;
  std::optional<double> temperature;
  std::optional<int> max_tokens;
  std::optional<int> top_k;
  std::optional<bool> strict;
  std::string collection;
  std::string mode;
  std::string filter;
  std::optional<double> min_score;
  bool no_stream = false;
  bool json = false;
};

v1::ChatRequest BaseRequest(const ChatArguments& arguments) {
  v1::ChatRequest request;
  request.set_model(arguments.model);
  if (arguments.temperature) request.set_temperature(*arguments.temperature);
  if (arguments.max_tokens) request.set_max_tokens(*arguments.max_tokens);
  auto& retrieval = *request.mutable_retrieval();
  if (arguments.top_k) retrieval.set_top_k(*arguments.top_k);
  if (arguments.strict) retrieval.set_strict(*arguments.strict);
  retrieval.set_collection(arguments.collection);
  retrieval.set_mode(arguments.mode);
  retrieval.set_filter(arguments.filter);
  if (arguments.min_score) retrieval.set_min_score(*arguments.min_score);
  return request;
}

void RunOnce(Session& session, v1::ChatRequest request, std::string prompt,
             const ChatArguments& arguments) {
  if (!IsUtf8(prompt)) return session.FailUsage("the prompt is not UTF-8 text");
  request.set_prompt(std::move(prompt));
  if (!arguments.json) {
    RunTurn(session, request, !arguments.no_stream);
    return;
  }
  const auto response = session.client().Chat(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  session.out.Write(ToJson(*response));
}

void RunChat(Session& session, const ChatArguments& arguments) {
  const v1::ChatRequest base = BaseRequest(arguments);
  if (!arguments.prompt.empty()) {
    return RunOnce(session, base, absl::StrJoin(arguments.prompt, " "), arguments);
  }
  if (isatty(STDIN_FILENO) == 1) {
    if (arguments.json) return session.FailUsage("--json needs a prompt");
    return RunRepl(session, base, !arguments.no_stream);
  }
  auto prompt = ReadText("-", kPromptBytesMax);
  if (!prompt.ok()) return session.FailUsage(prompt.status());
  RunOnce(session, base, *std::move(prompt), arguments);
}

}  // namespace

void AddChatCommand(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ChatArguments>();
  auto& chat = *app.add_subcommand("chat", "Asks a question, or talks where none is given");
  chat.add_option("prompt", arguments->prompt,
                  "The question; without one it is read from stdin, or a conversation begins");
  chat.add_option("--model", arguments->model, "A name that `aibackend models` lists");
  chat.add_option("--temperature", arguments->temperature, "0 to 2");
  chat.add_option("--max-tokens", arguments->max_tokens, "The longest answer");
  chat.add_option("--top-k", arguments->top_k, "How many passages to give the model");
  chat.add_flag_function(
      "--strict,!--no-strict", [arguments](int64_t count) { arguments->strict = count > 0; },
      "Answer from the documents only (default: what the server is set to)");
  chat.add_option("--collection", arguments->collection, "The documents to answer from");
  chat.add_option("--mode", arguments->mode, "How to search: hybrid (default), dense or lexical");
  chat.add_option("--filter", arguments->filter,
                  R"(Only from documents whose metadata fit, such as '{"lang": "en"}')");
  chat.add_option("--min-score", arguments->min_score, "0 to 1: no passages that score less");
  chat.add_flag("--no-stream", arguments->no_stream, "Print the answer when it is complete");
  chat.add_flag("--json", arguments->json, "Print the whole answer as JSON (does not stream)");
  chat.callback([arguments, &session] { RunChat(session, *arguments); });
}

}  // namespace aibackend::cli
