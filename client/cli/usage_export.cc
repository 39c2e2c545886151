#include "client/cli/usage_export.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/cli/interrupts.h"

namespace aibackend::cli {
namespace {

namespace fs = std::filesystem;

// Where the body goes.
class Sink {
 public:
  virtual ~Sink() = default;
  // False: it could not be written.
  virtual bool Write(std::string_view piece) = 0;
  // The body is whole. Afterwards Discard does nothing.
  virtual absl::Status Commit() = 0;
};

class StdoutSink final : public Sink {
 public:
  explicit StdoutSink(Output& out) : out_(out) {}

  // A piece may end within a character, which is cleaned for a terminal only when it is whole: the
  // first of the two bytes of a control character waits for the second.
  bool Write(std::string_view piece) override {
    held_.append(piece);
    const bool in_character = !held_.empty() && held_.back() == '\xC2';
    const size_t ready = held_.size() - (in_character ? 1 : 0);
    out_.Write(std::string_view(held_).substr(0, ready));
    held_.erase(0, ready);
    return out_.Flush();
  }
  absl::Status Commit() override {
    out_.Write(held_);
    return absl::OkStatus();  // main looks whether stdout could be written
  }

 private:
  Output& out_;
  std::string held_;
};

class FileSink final : public Sink {
 public:
  static absl::StatusOr<std::unique_ptr<Sink>> Open(const std::string& path) {
    // A pipe or a device is written as it is: nothing can take its place.
    std::error_code error;
    const auto kind = fs::status(path, error).type();
    if (kind == fs::file_type::directory) return Problem(path, "is a folder");
    const bool whole = kind == fs::file_type::regular || kind == fs::file_type::not_found;
    const std::string part = whole ? absl::StrCat(path, ".part") : path;
    std::FILE* file = std::fopen(part.c_str(), "wb");
    if (file == nullptr) return Problem(part, std::strerror(errno));
    return std::unique_ptr<Sink>(new FileSink(file, part, path));
  }
  ~FileSink() override {
    if (file_ == nullptr) return;
    std::fclose(file_);
    if (part_ != path_) std::remove(part_.c_str());
  }

  bool Write(std::string_view piece) override {
    return std::fwrite(piece.data(), 1, piece.size(), file_) == piece.size();
  }
  absl::Status Commit() override {
    const bool written = std::fclose(std::exchange(file_, nullptr)) == 0;
    if (written && (part_ == path_ || std::rename(part_.c_str(), path_.c_str()) == 0)) {
      return absl::OkStatus();
    }
    const auto problem = Problem(path_, std::strerror(errno));
    if (part_ != path_) std::remove(part_.c_str());
    return problem;
  }

 private:
  FileSink(std::FILE* file, std::string part, std::string path)
      : file_(file), part_(std::move(part)), path_(std::move(path)) {}

  static absl::Status Problem(const std::string& path, const char* what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
  }

  std::FILE* file_;
  const std::string part_;
  const std::string path_;
};

void FailToWrite(Session& session, const std::string& what) {
  session.out.Error(what);
  session.exit_code = kExitServiceError;
}

// `bytes` of it had come.
void FailMidway(Session& session, client::ClientError error, uint64_t bytes) {
  if (bytes > 0) {
    error.message = absl::StrCat("the export broke off after ", bytes,
                                 " bytes and is not whole: ", error.message);
  }
  session.Fail(error);
}

}  // namespace

void ExportUsage(Session& session, const v1::ExportUsageRequest& request, const std::string& path) {
  std::unique_ptr<Sink> sink = std::make_unique<StdoutSink>(session.out);
  if (!path.empty()) {
    auto file = FileSink::Open(path);
    if (!file.ok()) return session.FailUsage(file.status());
    sink = *std::move(file);
  }
  Interrupts interrupts;
  client::Cancellation cancellation;
  const Interrupts::Watch watch(interrupts, [&cancellation] { cancellation.Cancel(); });
  uint64_t bytes = 0;
  bool written = true;
  const auto content_type = session.client().ExportUsage(
      request,
      [&](std::string_view piece) {
        bytes += piece.size();
        written = sink->Write(piece);
        return written;
      },
      session.Options(&cancellation));
  if (!written) return FailToWrite(session, "the output could not be written");
  if (!content_type.ok()) {
    FailMidway(session, content_type.error(), bytes);
    if (cancellation.cancelled()) session.exit_code = kExitInterrupted;
    return;
  }
  if (const auto committed = sink->Commit(); !committed.ok()) {
    FailToWrite(session, std::string(committed.message()));
  }
}

}  // namespace aibackend::cli
