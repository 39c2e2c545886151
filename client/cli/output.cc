#include "client/cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace aibackend::cli {
namespace {

constexpr char kReset[] = "\x1b[0m";
constexpr char kDim[] = "\x1b[2m";
constexpr char kBold[] = "\x1b[1m";
constexpr char kStartOfLine[] = "\r\x1b[K";

// no-color.org: set and not empty means no colours.
bool ColoursWanted() {
  const char* no_color = std::getenv("NO_COLOR");
  return no_color == nullptr || *no_color == '\0';
}

void Put(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '\t', ' ');
  return text;
}

// Characters, near enough to columns for what stands in columns here: ids, numbers and times.
size_t Width(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// What the caller can do about an error of accounts; empty where the message says it all.
std::string_view Remedy(const std::string& reason) {
  if (reason == "KEY_REQUIRED") return ": set AIB_API_KEY";
  if (reason == "KEY_INVALID") return ": set AIB_API_KEY to a key that is in force";
  if (reason == "SCOPE_MISSING") return ": set AIB_API_KEY to a key with the scope";
  if (reason == "PRICE_UNKNOWN") return ": set the price with aibackend prices set";
  return "";
}

}  // namespace

std::string WithoutControls(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (c == 0xC2 && next >= 0x80 && next <= 0x9F) {
      ++i;  // a C1 control character is two bytes of UTF-8
    } else if ((c >= 0x20 && c != 0x7F) || c == '\n' || c == '\t') {
      clean.push_back(text[i]);
    }
  }
  return clean;
}

std::string WithoutKeys(std::string_view text) {
  constexpr std::string_view kMark = "aib_";
  std::string clean;
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i, kMark.size()) != kMark) {
      clean.push_back(text[i++]);
      continue;
    }
    absl::StrAppend(&clean, "aib_…");
    i += kMark.size();
    while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) != 0 ||
                               text[i] == '_' || text[i] == '-')) {
      ++i;
    }
  }
  return clean;
}

Output::Output()
    : stdout_is_terminal_(isatty(STDOUT_FILENO) == 1),
      stderr_is_terminal_(isatty(STDERR_FILENO) == 1),
      colours_(stdout_is_terminal_ && ColoursWanted()) {}

std::string Output::Clean(std::string_view text) const {
  return stdout_is_terminal_ ? WithoutControls(text) : std::string(text);
}

void Output::Write(std::string_view text) {
  Put(stdout, Clean(text));
}

void Output::Line(std::string_view text) {
  Put(stdout, Clean(text) + "\n");
}

void Output::Note(std::string_view text) {
  Put(stdout, colours_ ? kDim + Clean(text) + kReset + "\n" : Clean(text) + "\n");
}

void Output::Heading(std::string_view text) {
  Put(stdout, colours_ ? kBold + Clean(text) + kReset : Clean(text));
}

void Output::Progress(std::string_view text) {
  Put(stdout, kStartOfLine + OneLine(Clean(text)));
}

void Output::ClearProgress() {
  Put(stdout, kStartOfLine);
}

void Output::Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const std::string& cell = rows[r][i];
      line += OneLine(cell);
      if (i + 1 < rows[r].size()) line.append(widths[i] - Width(cell) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (r == 0) {
      Heading(line);
      Write("\n");
    } else {
      Line(line);
    }
  }
}

void Output::Error(const client::ClientError& error) {
  std::string about = error.reason.empty() ? error.code : error.reason;
  if (!error.field.empty()) absl::StrAppend(&about, ", field ", error.field);
  if (!error.request_id.empty()) absl::StrAppend(&about, ", request ", error.request_id);
  if (error.retry_after) {
    absl::StrAppend(&about, ", retry after ", absl::FormatDuration(*error.retry_after));
  }
  Error(absl::StrCat(error.message.empty() ? error.code : error.message, " (", about, ")",
                     std::string(Remedy(error.reason))));
}

void Output::Error(std::string_view message) {
  Aside("error: " + WithoutKeys(message));
}

void Output::Aside(std::string_view text) {
  std::string line = OneLine(std::string(text));
  if (stderr_is_terminal_) line = WithoutControls(line);
  Put(stderr, line + "\n");
}

bool Output::Flush() {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

}  // namespace aibackend::cli
