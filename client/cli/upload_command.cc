// aibackend upload
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"

namespace aibackend::cli {
namespace {

constexpr uintmax_t kFileBytesMax = 32 << 20;  // Document.content
constexpr size_t kPieceBytes = 256 << 10;
// A stream's statuses come at its end: enough for speed, and few enough that they come soon.
constexpr size_t kStreamFilesMax = 200;
constexpr uintmax_t kStreamBytesMax = 64 << 20;

struct UploadArguments {
  std::vector<std::string> files;
  std::string collection;
};

struct File {
  std::string path;  // "-": stdin
  uintmax_t bytes = 0;

  std::string name() const {
    return path == "-" ? "stdin" : std::filesystem::path(path).filename().string();
  }
  // The rows or records of these become a document each.
  bool MayBeSeveral() const {
    const std::string lower = absl::AsciiStrToLower(name());
    for (const char* ending : {".csv", ".tsv", ".json", ".jsonl", ".ndjson"}) {
      if (absl::EndsWith(lower, ending)) return true;
    }
    return false;
  }
};

absl::Status Problem(const File& file, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(file.path, ": ", what));
}

// Closes what it opened.
using OpenFile = std::unique_ptr<std::FILE, void (*)(std::FILE*)>;

OpenFile Open(const std::string& path) {
  if (path == "-") return {stdin, [](std::FILE*) {}};
  return {std::fopen(path.c_str(), "rb"), [](std::FILE* file) { std::fclose(file); }};
}

// What can be known of a file before it is read.
absl::StatusOr<File> Look(const std::string& path) {
  File file{path};
  if (path == "-") return file;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return Problem(file, "is a folder");
  if (Open(path) == nullptr) return Problem(file, std::strerror(errno));
  if (!std::filesystem::is_regular_file(path, error)) return file;
  file.bytes = std::filesystem::file_size(path, error);
  if (error) return Problem(file, error.message());
  if (file.bytes == 0) return Problem(file, "is empty");
  if (file.bytes > kFileBytesMax) {
    return Problem(file, absl::StrCat("is longer than ", kFileBytesMax, " bytes"));
  }
  return file;
}

// Sends the files of one stream, each in pieces.
class Pieces {
 public:
  Pieces(const std::vector<File>& files, std::string collection)
      : files_(files), collection_(std::move(collection)), block_(kPieceBytes, '\0') {}

  // False at the end, or when a file can't be read: then problem() says why.
  bool Next(v1::UploadDocumentsRequest& message) {
    if (begun_ == 0) message.set_collection(collection_);
    if (file_ == nullptr) {
      if (begun_ == files_.size()) return false;
      message.mutable_document()->set_source(files_[begun_].name());
      file_ = Open(files_[begun_++].path);
      if (file_ == nullptr) return Fail();
    }
    const size_t count = std::fread(block_.data(), 1, block_.size(), file_.get());
    if (std::ferror(file_.get()) != 0) return Fail();
    message.set_content(block_.data(), count);
    if (count < block_.size()) file_.reset();
    return true;
  }

  size_t begun() const { return begun_; }
  const absl::Status& problem() const { return problem_; }

 private:
  bool Fail() {
    problem_ = Problem(files_[begun_ - 1], std::strerror(errno));
    return false;
  }

  const std::vector<File>& files_;
  const std::string collection_;
  std::string block_;
  size_t begun_ = 0;
  OpenFile file_{nullptr, [](std::FILE*) {}};
  absl::Status problem_;
};

void Print(Session& session, const File& file, const v1::AddDocumentsResponse::Added& added) {
  const std::string& status = v1::AddDocumentsResponse::Added::Status_Name(added.status());
  if (added.status() != v1::AddDocumentsResponse::Added::FAILED) {
    return session.out.Line(
        absl::StrCat(status, "  ", added.id(), "  ", added.chunks(), " chunks  ", file.name()));
  }
  session.out.Line(absl::StrCat(status, "  ", file.name(), ": ", added.error().message(), " (",
                                added.error().reason(), ")"));
  session.exit_code = kExitServiceError;
}

// Where a stream is in the whole upload.
struct Position {
  size_t before = 0;
  size_t total = 0;
};

// False: the upload has failed and is over.
bool Send(Session& session, const std::vector<File>& files, const std::string& collection,
          Position position) {
  Pieces pieces(files, collection);
  client::Cancellation cancellation;
  const auto next = [&](v1::UploadDocumentsRequest& message) {
    if (pieces.Next(message)) {
      if (session.out.terminal()) {
        session.out.Progress(absl::StrCat("sending file ", position.before + pieces.begun(), " of ",
                                          position.total));
      }
      return true;
    }
    if (!pieces.problem().ok()) cancellation.Cancel();
    return false;
  };
  const auto response = session.client().UploadDocuments(next, session.Options(&cancellation));
  if (session.out.terminal()) session.out.ClearProgress();
  if (!pieces.problem().ok()) return session.FailUsage(pieces.problem()), false;
  if (!response.ok()) return session.Fail(response.error()), false;
  // Only the last file of a stream may have become several documents.
  for (int i = 0; i < response->documents_size(); ++i) {
    const size_t file = std::min(static_cast<size_t>(i), files.size() - 1);
    Print(session, files[file], response->documents(i));
  }
  return true;
}

// None is sent before every one is known to be there.
void RunUpload(Session& session, const UploadArguments& arguments) {
  std::vector<File> files;
  for (const auto& path : arguments.files) {
    auto file = Look(path);
    if (!file.ok()) return session.FailUsage(file.status());
    files.push_back(*std::move(file));
  }
  std::vector<File> stream;
  uintmax_t bytes = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    stream.push_back(files[i]);
    bytes += files[i].bytes;
    const bool is_last = i + 1 == files.size() || files[i].MayBeSeveral() ||
                         stream.size() == kStreamFilesMax ||
                         bytes + files[i + 1].bytes > kStreamBytesMax;
    if (!is_last) continue;
    const Position position{i + 1 - stream.size(), files.size()};
    if (!Send(session, stream, arguments.collection, position)) return;
    stream.clear();
    bytes = 0;
  }
}

}  // namespace

void AddUploadCommand(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<UploadArguments>();
  auto& upload = *app.add_subcommand("upload", "Stores files as documents");
  upload
      .add_option("files", arguments->files,
                  "Text, Markdown, HTML, PDF, DOCX, CSV, JSON or JSONL, at most 32 MiB each; - is "
                  "stdin")
      ->required();
  upload.add_option("--collection", arguments->collection, "Where to put them");
  upload.callback([arguments, &session] { RunUpload(session, *arguments); });
}

}  // namespace aibackend::cli
