#include "client/cli/turn.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace aibackend::cli {
namespace {

// Below this the contract calls an answer's confidence low (ChatResponse.confidence).
constexpr double kConfidenceLow = 0.60;

client::Result<v1::ChatResponse> Ask(Session& session, const v1::ChatRequest& request, bool stream,
                                     const client::CallOptions& options, std::string& text) {
  if (stream) {
    return session.client().ChatStream(
        request,
        [&](std::string_view delta) {
          text += delta;
          session.out.Write(delta);
        },
        options);
  }
  auto response = session.client().Chat(request, options);
  if (response.ok()) {
    text = response->response();
    session.out.Write(text);
  }
  return response;
}

}  // namespace

std::optional<std::string> RunTurn(Session& session, const v1::ChatRequest& request, bool stream,
                                   client::Cancellation* cancellation) {
  std::string text;
  const auto options = session.Options(cancellation);
  const auto response = Ask(session, request, stream, options, text);
  if (!text.empty() && text.back() != '\n') session.out.Write("\n");
  if (!response.ok()) {
    if (cancellation != nullptr && cancellation->cancelled()) {
      session.out.Note("(cancelled)");
    } else {
      session.Fail(response.error());
    }
    return std::nullopt;
  }
  PrintEnding(session.out, *response);
  return text;
}

void PrintEnding(Output& out, const v1::ChatResponse& response) {
  if (response.finish_reason() == "length") {
    out.Note("(cut: the answer reached the limit of its tokens)");
  }
  if (response.citations_size() == 0) return;
  if (response.confidence() < kConfidenceLow) {
    out.Note(absl::StrFormat("(low confidence: %.2f)", response.confidence()));
  }
  out.Line("");
  int number = 0;
  for (const auto& citation : response.citations()) {
    out.Note(absl::StrCat("[", ++number, "] ", citation.title(), " (", citation.document_id(),
                          " bytes ", citation.start(), "–", citation.end(), ")"));
  }
}

}  // namespace aibackend::cli
