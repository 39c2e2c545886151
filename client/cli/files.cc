#include "client/cli/files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "simdjson.h"

namespace aibackend::cli {
namespace {

constexpr size_t kReadBytes = 64 << 10;

absl::Status Problem(const std::string& name, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", what));
}

absl::StatusOr<std::string> ReadAll(std::FILE* file, const std::string& name, size_t bytes_max) {
  std::string text;
  std::string block(kReadBytes, '\0');
  while (const size_t count = std::fread(block.data(), 1, block.size(), file)) {
    text.append(block, 0, count);
    if (text.size() > bytes_max) {
      return Problem(name, absl::StrCat("is longer than ", bytes_max, " bytes"));
    }
  }
  if (std::ferror(file) != 0) return Problem(name, std::strerror(errno));
  return text;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

absl::StatusOr<std::string> ReadText(const std::string& path, size_t bytes_max) {
  const std::string name = path == "-" ? "stdin" : path;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(nullptr, &std::fclose);
  std::FILE* file = stdin;
  if (path != "-") {
    opened.reset(std::fopen(path.c_str(), "rb"));
    if (opened == nullptr) return Problem(name, std::strerror(errno));
    file = opened.get();
  }
  auto text = ReadAll(file, name, bytes_max);
  if (!text.ok()) return text;
  if (text->empty()) return Problem(name, "is empty");
  if (!IsUtf8(*text)) return Problem(name, "is not UTF-8 text");
  return text;
}

}  // namespace aibackend::cli
