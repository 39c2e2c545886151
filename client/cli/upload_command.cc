// aibackend upload
#include <filesystem>
#include <memory>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"

namespace aibackend::cli {
namespace {

constexpr size_t kFileBytesMax = 8 << 20;   // Document.text
constexpr int kBatchDocumentsMax = 1000;    // AddDocumentsRequest.documents
constexpr size_t kBatchBytesMax = 8 << 20;  // one file at least; keeps a request's time in bounds

struct UploadArguments {
  std::vector<std::string> files;
  std::string collection;
};

// Sends files in batches, in their order.
class Upload {
 public:
  Upload(Session& session, const std::string& collection) : session_(session) {
    batch_.set_collection(collection);
  }

  // False: the upload has failed and is over.
  bool Add(const std::string& path, std::string text) {
    const bool full = batch_.documents_size() == kBatchDocumentsMax ||
                      batch_bytes_ + text.size() > kBatchBytesMax;
    if (full && !Send()) return false;
    auto& document = *batch_.add_documents();
    document.set_title(std::filesystem::path(path).filename().string());
    document.set_source(document.title());
    batch_bytes_ += text.size();
    document.set_text(std::move(text));
    return true;
  }

  bool Send() {
    if (batch_.documents_size() == 0) return true;
    const auto response = session_.client().AddDocuments(batch_, session_.Options());
    if (!response.ok()) {
      session_.Fail(response.error());
      return false;
    }
    for (int i = 0; i < response->documents_size(); ++i) Print(i, response->documents(i));
    batch_.clear_documents();
    batch_bytes_ = 0;
    return true;
  }

 private:
  void Print(int i, const v1::AddDocumentsResponse::Added& added) {
    const std::string title = i < batch_.documents_size() ? batch_.documents(i).title() : "";
    session_.out.Line(absl::StrCat(v1::AddDocumentsResponse::Added::Status_Name(added.status()),
                                   "  ", added.id(), "  ", added.chunks(), " chunks  ", title));
  }

  Session& session_;
  v1::AddDocumentsRequest batch_;
  size_t batch_bytes_ = 0;
};

// All files are read twice: none is sent before every one is known to be good.
void RunUpload(Session& session, const UploadArguments& arguments) {
  for (const auto& path : arguments.files) {
    const auto text = ReadText(path, kFileBytesMax);
    if (!text.ok()) return session.FailUsage(text.status());
  }
  Upload upload(session, arguments.collection);
  for (const auto& path : arguments.files) {
    auto text = ReadText(path, kFileBytesMax);
    if (!text.ok()) return session.FailUsage(text.status());
    if (!upload.Add(path, *std::move(text))) return;
  }
  upload.Send();
}

}  // namespace

void AddUploadCommand(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<UploadArguments>();
  auto& upload = *app.add_subcommand("upload", "Stores text or Markdown files as documents");
  upload.add_option("files", arguments->files, "UTF-8 text, at most 8 MiB each")->required();
  upload.add_option("--collection", arguments->collection, "Where to put them");
  upload.callback([arguments, &session] { RunUpload(session, *arguments); });
}

}  // namespace aibackend::cli
