// aibackend retrieve
#include <memory>
#include <optional>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"

namespace aibackend::cli {
namespace {

struct RetrieveArguments {
  std::vector<std::string> query;
  std::optional<int> top_k;
  std::string collection;
  std::string mode;
  std::string filter;
  std::optional<double> min_score;
  bool explain = false;
  bool json = false;
};

// How a match came to its score: what each leg gave, the query's terms that it has, the sum.
void PrintExplanation(Output& out, const v1::RetrieveResponse::Explanation& explanation) {
  for (const auto& leg : explanation.legs()) {
    out.Note(absl::StrFormat("    %-10s %9.3f  %.3f of the best  weight %.2f", leg.leg(),
                             leg.score(), leg.normalised(), leg.weight()));
  }
  for (const auto& term : explanation.terms()) {
    out.Note(absl::StrFormat("    \"%s\"  idf %.2f, %g times: %.3f", term.term(), term.idf(),
                             term.count(), term.score()));
  }
  if (explanation.neighbour_share() == 0) return;
  out.Note(absl::StrFormat("    %.3f fused x %.2f + %.3f neighbours x %.2f", explanation.fused(),
                           1 - explanation.neighbour_share(), explanation.neighbours(),
                           explanation.neighbour_share()));
}

void PrintMatches(Output& out, const v1::RetrieveResponse& response) {
  if (response.matches_size() == 0) out.Note("No matches.");
  int number = 0;
  for (const auto& match : response.matches()) {
    out.Heading(absl::StrCat("[", ++number, "] ", match.title()));
    out.Note(absl::StrFormat("  %.3f  %s bytes %d–%d", match.score(), match.document_id(),
                             match.start(), match.end()));
    if (match.has_explanation()) PrintExplanation(out, match.explanation());
    out.Line(match.text());
    out.Line("");
  }
}

void RunRetrieve(Session& session, const RetrieveArguments& arguments) {
  v1::RetrieveRequest request;
  request.set_query(absl::StrJoin(arguments.query, " "));
  if (arguments.top_k) request.set_top_k(*arguments.top_k);
  request.set_collection(arguments.collection);
  request.set_mode(arguments.mode);
  request.set_filter(arguments.filter);
  if (arguments.min_score) request.set_min_score(*arguments.min_score);
  request.set_explain(arguments.explain);
  const auto response = session.client().Retrieve(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  if (arguments.json) return session.out.Write(ToJson(*response));
  PrintMatches(session.out, *response);
}

}  // namespace

void AddRetrieveCommand(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<RetrieveArguments>();
  auto& retrieve = *app.add_subcommand("retrieve", "Finds the passages that fit a query");
  retrieve.add_option("query", arguments->query, "What to look for")->required();
  retrieve.add_option("--top-k", arguments->top_k, "How many passages");
  retrieve.add_option("--collection", arguments->collection, "The documents to search");
  retrieve.add_option("--mode", arguments->mode, "hybrid (default), dense or lexical");
  retrieve.add_option("--filter", arguments->filter,
                      R"(Only documents whose metadata fit, such as '{"year": {"gte": 2020}}')");
  retrieve.add_option("--min-score", arguments->min_score, "0 to 1: leave out what scores less");
  retrieve.add_flag("--explain", arguments->explain, "Show how each match came to its score");
  retrieve.add_flag("--json", arguments->json, "Print the answer as JSON");
  retrieve.callback([arguments, &session] { RunRetrieve(session, *arguments); });
}

}  // namespace aibackend::cli
