#include "client/cli/chat_repl.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "client/cli/files.h"
#include "client/cli/interrupts.h"
#include "client/cli/line_reader.h"
#include "client/cli/turn.h"

namespace aibackend::cli {
namespace {

// A request has at most 256 messages (ChatRequest.messages); the oldest turns go first.
constexpr int kHistoryMessagesMax = 254;

void Append(v1::ChatRequest& conversation, const char* role, std::string content) {
  auto& message = *conversation.add_messages();
  message.set_role(role);
  message.set_content(std::move(content));
}

class Repl {
 public:
  Repl(Session& session, const v1::ChatRequest& base, bool stream)
      : session_(session), base_(base), conversation_(base), stream_(stream) {}

  void Run() {
    session_.out.Note("/exit or Ctrl-D leaves, /clear forgets the conversation, Ctrl-C cancels");
    LineReader reader(STDIN_FILENO, interrupts_);
    bool open = true;
    while (open) {
      session_.out.Heading("> ");
      std::string line;
      switch (reader.Next(line)) {
        case LineReader::Outcome::kLine:
          open = Handle(std::move(line));
          break;
        case LineReader::Outcome::kTooLong:
          session_.out.Error("the line is too long");
          break;
        case LineReader::Outcome::kEnd:
        case LineReader::Outcome::kInterrupted:
          session_.out.Line("");
          open = false;
      }
    }
    session_.exit_code = kExitOk;  // errors were shown where they happened
  }

 private:
  // False: leave.
  bool Handle(std::string line) {
    if (line.find_first_not_of(" \t") == std::string::npos) return true;
    if (line == "/exit") return false;
    if (line == "/clear") {
      conversation_ = base_;
      return true;
    }
    if (!IsUtf8(line)) {
      session_.out.Error("the line is not UTF-8 text");
      return true;
    }
    return Ask(std::move(line));
  }

  bool Ask(std::string question) {
    Append(conversation_, "user", std::move(question));
    client::Cancellation cancellation;
    std::atomic<int> interrupts = 0;
    std::optional<std::string> answer;
    {
      Interrupts::Watch watch(interrupts_, [&] {
        ++interrupts;
        cancellation.Cancel();
      });
      answer = RunTurn(session_, conversation_, stream_, &cancellation);
    }
    if (answer && !answer->empty()) {
      Append(conversation_, "assistant", *std::move(answer));
    } else {
      conversation_.mutable_messages()->RemoveLast();  // a question without an answer
    }
    while (conversation_.messages_size() > kHistoryMessagesMax) {
      conversation_.mutable_messages()->DeleteSubrange(0, 2);
    }
    return interrupts < 2;
  }

  Session& session_;
  const v1::ChatRequest& base_;
  v1::ChatRequest conversation_;
  const bool stream_;
  Interrupts interrupts_;
};

}  // namespace

void RunRepl(Session& session, const v1::ChatRequest& base, bool stream) {
  Repl(session, base, stream).Run();
}

}  // namespace aibackend::cli
