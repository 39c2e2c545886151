// aibackend documents list|get|delete, aibackend seed
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"

namespace aibackend::cli {
namespace {

struct DocumentArguments {
  std::string id;
  std::string collection;
  int limit = kPageSizeDefault;
  bool json = false;
};

void RunList(Session& session, const DocumentArguments& arguments) {
  v1::ListDocumentsRequest request;
  request.set_collection(arguments.collection);
  v1::ListDocumentsResponse all;
  const bool listed = ListPages(
      session, request, arguments.limit,
      [&](const auto& page_request) {
        return session.client().ListDocuments(page_request, session.Options());
      },
      [&](const v1::ListDocumentsResponse& page) {
        all.MergeFrom(page);
        return page.documents_size();
      });
  if (!listed) return;
  if (arguments.json) return session.out.Write(ToJson(all));
  std::vector<std::vector<std::string>> rows = {{"ID", "COLLECTION", "CHUNKS", "CREATED", "TITLE"}};
  for (const auto& document : all.documents()) {
    rows.push_back({document.id(), document.collection(), absl::StrCat(document.chunks()),
                    FormatTime(document.created_at()), document.title()});
  }
  session.out.Table(rows);
}

void RunGet(Session& session, const DocumentArguments& arguments) {
  v1::GetDocumentRequest request;
  request.set_id(arguments.id);
  request.set_collection(arguments.collection);
  const auto document = session.client().GetDocument(request, session.Options());
  if (!document.ok()) return session.Fail(document.error());
  session.out.Write(arguments.json ? ToJson(*document) : document->text());
  if (session.out.terminal() && !arguments.json) session.out.Line("");
}

void RunDelete(Session& session, const DocumentArguments& arguments) {
  v1::DeleteDocumentRequest request;
  request.set_id(arguments.id);
  request.set_collection(arguments.collection);
  const auto response = session.client().DeleteDocument(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  session.out.Line("deleted " + arguments.id);
}

void RunSeed(Session& session, const DocumentArguments& arguments) {
  v1::SeedDocumentsRequest request;
  request.set_collection(arguments.collection);
  const auto response = session.client().SeedDocuments(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  int unchanged = 0;
  for (const auto& added : response->documents()) {
    unchanged += added.status() == v1::AddDocumentsResponse::Added::UNCHANGED;
  }
  session.out.Line(absl::StrCat(response->documents_size(), " sample documents, ",
                                response->documents_size() - unchanged, " of them new"));
}

void AddCollection(CLI::App& command, DocumentArguments& arguments, const char* help) {
  command.add_option("--collection", arguments.collection, help);
}

}  // namespace

void AddDocumentsCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<DocumentArguments>();
  auto& documents = *app.add_subcommand("documents", "Shows and removes stored documents");
  documents.require_subcommand(1);

  auto& list = *documents.add_subcommand("list", "Lists documents, newest first");
  AddCollection(list, *arguments, "Only this one");
  list.add_option("--limit", arguments->limit, "How many at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  list.add_flag("--json", arguments->json, "Print the answer as JSON");
  list.callback([arguments, &session] { RunList(session, *arguments); });

  auto& get = *documents.add_subcommand("get", "Prints the stored text that citations point into");
  get.add_option("id", arguments->id, "The document")->required();
  AddCollection(get, *arguments, "Where it is");
  get.add_flag("--json", arguments->json, "Print the document as JSON");
  get.callback([arguments, &session] { RunGet(session, *arguments); });

  auto& remove = *documents.add_subcommand("delete", "Removes a document");
  remove.add_option("id", arguments->id, "The document")->required();
  AddCollection(remove, *arguments, "Where it is");
  remove.callback([arguments, &session] { RunDelete(session, *arguments); });

  auto& seed = *app.add_subcommand("seed", "Adds the sample documents");
  AddCollection(seed, *arguments, "Where to put them");
  seed.callback([arguments, &session] { RunSeed(session, *arguments); });
}

}  // namespace aibackend::cli
