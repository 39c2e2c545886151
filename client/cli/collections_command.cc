// aibackend collections [list|show|delete]
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"

namespace aibackend::cli {
namespace {

struct CollectionArguments {
  std::string name;
  int limit = kPageSizeDefault;
  bool json = false;
};

std::string NumberOf(const v1::Collection::Generation& generation) {
  return generation.number() == 0 ? "-" : absl::StrCat(generation.number());
}

void RunList(Session& session, const CollectionArguments& arguments) {
  v1::ListCollectionsResponse all;
  const bool listed = ListPages(
      session, v1::ListCollectionsRequest(), arguments.limit,
      [&](const auto& page_request) {
        return session.client().ListCollections(page_request, session.Options());
      },
      [&](const v1::ListCollectionsResponse& page) {
        all.MergeFrom(page);
        return page.collections_size();
      });
  if (!listed) return;
  if (arguments.json) return session.out.Write(ToJson(all));
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "DOCUMENTS", "CHUNKS", "UNEMBEDDED", "GENERATION", "EMBEDDER"}};
  for (const auto& collection : all.collections()) {
    rows.push_back({collection.name(), absl::StrCat(collection.documents()),
                    absl::StrCat(collection.chunks()), absl::StrCat(collection.unembedded_chunks()),
                    NumberOf(collection.serving()), collection.serving().embedder()});
  }
  session.out.Table(rows);
}

void PrintCollection(Output& out, const v1::Collection& collection) {
  out.Line(absl::StrCat(collection.name(), ": ", collection.documents(), " documents, ",
                        collection.chunks(), " chunks, ", collection.unembedded_chunks(),
                        " of them not embedded"));
  std::vector<std::vector<std::string>> rows = {
      {"GENERATION", "SERVES", "DIMENSIONS", "CREATED", "EMBEDDER"}};
  const auto add = [&](const v1::Collection::Generation& generation, const char* serves) {
    rows.push_back({NumberOf(generation), serves, absl::StrCat(generation.dimensions()),
                    FormatTime(generation.created_at()), generation.embedder()});
  };
  if (collection.has_serving()) add(collection.serving(), "yes");
  for (const auto& generation : collection.former()) add(generation, "no");
  if (rows.size() > 1) out.Table(rows);
}

void RunShow(Session& session, const CollectionArguments& arguments) {
  v1::GetCollectionRequest request;
  request.set_collection(arguments.name);
  const auto collection = session.client().GetCollection(request, session.Options());
  if (!collection.ok()) return session.Fail(collection.error());
  if (arguments.json) return session.out.Write(ToJson(*collection));
  PrintCollection(session.out, *collection);
}

void RunDelete(Session& session, const CollectionArguments& arguments) {
  v1::DeleteCollectionRequest request;
  request.set_collection(arguments.name);
  const auto response = session.client().DeleteCollection(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  session.out.Line(
      absl::StrCat("deleted ", arguments.name, " with ", response->documents(), " documents"));
}

}  // namespace

void AddCollectionsCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<CollectionArguments>();
  auto& collections = *app.add_subcommand("collections", "Lists, shows and removes collections");
  collections.require_subcommand(0, 1);
  collections.callback([arguments, &collections, &session] {
    if (collections.get_subcommands().empty()) RunList(session, *arguments);
  });

  auto& list = *collections.add_subcommand("list", "Lists collections by name");
  list.add_option("--limit", arguments->limit, "How many at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  list.add_flag("--json", arguments->json, "Print the answer as JSON");
  list.callback([arguments, &session] { RunList(session, *arguments); });

  auto& show =
      *collections.add_subcommand("show", "Shows a collection and its index's generations");
  show.add_option("name", arguments->name, "The collection")->required();
  show.add_flag("--json", arguments->json, "Print the collection as JSON");
  show.callback([arguments, &session] { RunShow(session, *arguments); });

  auto& remove = *collections.add_subcommand("delete", "Removes a collection with its documents");
  remove.add_option("name", arguments->name, "The collection")->required();
  remove.callback([arguments, &session] { RunDelete(session, *arguments); });
}

}  // namespace aibackend::cli
