#include "client/cli/test_collection.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/files.h"
#include "simdjson.h"

namespace aibackend::cli {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 30;  // is read whole; the largest public ones fit

// The lines of one file, and what is wrong with the one that was read last.
class Lines {
 public:
  static absl::StatusOr<Lines> Open(const std::string& path) {
    auto text = ReadText(path, kFileBytesMax);
    if (!text.ok()) return text.status();
    return Lines(path, *std::move(text));
  }

  // The next line that isn't blank, without its end; false: there is none.
  bool Next(std::string_view& line) {
    while (at_ < text_.size()) {
      const size_t end = std::min(text_.find('\n', at_), text_.size());
      line = std::string_view(text_).substr(at_, end - at_);
      at_ = end + 1;
      ++number_;
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) return true;
    }
    return false;
  }

  size_t number() const { return number_; }

  absl::Status Problem(const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", number_, ": ", what));
  }

 private:
  Lines(std::string path, std::string text) : path_(std::move(path)), text_(std::move(text)) {}

  std::string path_;
  std::string text_;
  size_t at_ = 0;
  size_t number_ = 0;
};

// The id of each line, once.
class Ids {
 public:
  absl::Status Take(const Lines& lines, simdjson::dom::object object, std::string& id) {
    if (!Find(object, "id", id) && !Find(object, "_id", id)) {
      return lines.Problem("\"id\" must be a string or an integer");
    }
    if (id.empty()) return lines.Problem("\"id\" is empty");
    const auto [other, fresh] = line_of_.try_emplace(id, lines.number());
    if (fresh) return absl::OkStatus();
    return lines.Problem(
        absl::StrCat("the id \"", id, "\" stands in line ", other->second, " too"));
  }

 private:
  static bool Find(simdjson::dom::object object, const char* key, std::string& id) {
    std::string_view text;
    int64_t number = 0;
    if (object[key].get(text) == simdjson::SUCCESS) {
      id = text;
      return true;
    }
    if (object[key].get(number) != simdjson::SUCCESS) return false;
    id = std::to_string(number);
    return true;
  }

  std::unordered_map<std::string, size_t> line_of_;
};

// Sets `value` to object[key], which may be absent only where it is not `required`.
absl::Status ReadField(const Lines& lines, simdjson::dom::object object, const char* key,
                       bool required, std::string& value) {
  const auto field = object[key];
  if (field.error() == simdjson::NO_SUCH_FIELD && !required) return absl::OkStatus();
  std::string_view text;
  if (field.get(text) != simdjson::SUCCESS) {
    return lines.Problem(absl::StrCat("\"", key, "\" must be a string"));
  }
  value = text;
  return absl::OkStatus();
}

// Calls `take(object)` for each line.
template <class Take>
absl::Status ForEachObject(Lines& lines, const Take& take) {
  simdjson::dom::parser parser;
  for (std::string_view line; lines.Next(line);) {
    simdjson::dom::object object;
    if (const auto error = parser.parse(simdjson::padded_string(line)).get(object)) {
      return lines.Problem(absl::StrCat("is not a JSON object: ", simdjson::error_message(error)));
    }
    if (absl::Status status = take(object); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Judgement> ParseJudgement(const Lines& lines, std::string_view line) {
  // Where there are tabs, ids may hold spaces.
  const char* separators = line.find('\t') != std::string_view::npos ? "\t\r" : " \r";
  const std::vector<std::string> columns = absl::StrSplit(
      absl::string_view(line.data(), line.size()), absl::ByAnyChar(separators), absl::SkipEmpty());
  if (columns.size() != 3 && columns.size() != 4) {
    return lines.Problem(absl::StrCat("has ", columns.size(),
                                      " columns; \"query document relevance\" or "
                                      "\"query 0 document relevance\" is needed"));
  }
  Judgement judgement{columns[0], columns[columns.size() - 2], 0};
  if (!absl::SimpleAtod(columns.back(), &judgement.relevance) ||
      !std::isfinite(judgement.relevance)) {
    return lines.Problem(absl::StrCat("the relevance \"", columns.back(), "\" is not a number"));
  }
  return judgement;
}

}  // namespace

absl::StatusOr<std::vector<TestDocument>> ReadDocuments(const std::string& path) {
  auto lines = Lines::Open(path);
  if (!lines.ok()) return lines.status();
  std::vector<TestDocument> documents;
  Ids ids;
  const auto status = ForEachObject(*lines, [&](simdjson::dom::object object) {
    TestDocument& document = documents.emplace_back();
    absl::Status read = ids.Take(*lines, object, document.id);
    if (read.ok()) read = ReadField(*lines, object, "title", false, document.title);
    if (read.ok()) read = ReadField(*lines, object, "text", true, document.text);
    return read;
  });
  if (!status.ok()) return status;
  return documents;
}

absl::StatusOr<std::vector<TestQuery>> ReadQueries(const std::string& path) {
  auto lines = Lines::Open(path);
  if (!lines.ok()) return lines.status();
  std::vector<TestQuery> queries;
  Ids ids;
  const auto status = ForEachObject(*lines, [&](simdjson::dom::object object) {
    TestQuery& query = queries.emplace_back();
    absl::Status read = ids.Take(*lines, object, query.id);
    if (read.ok()) read = ReadField(*lines, object, "text", true, query.text);
    if (read.ok() && query.text.empty()) read = lines->Problem("\"text\" is empty");
    return read;
  });
  if (!status.ok()) return status;
  return queries;
}

absl::StatusOr<std::vector<Judgement>> ReadQrels(const std::string& path) {
  auto lines = Lines::Open(path);
  if (!lines.ok()) return lines.status();
  std::vector<Judgement> judgements;
  for (std::string_view line; lines->Next(line);) {
    auto judgement = ParseJudgement(*lines, line);
    if (!judgement.ok() && lines->number() == 1 &&
        absl::StartsWithIgnoreCase(absl::string_view(line.data(), line.size()), "query")) {
      continue;
    }
    if (!judgement.ok()) return judgement.status();
    judgements.push_back(*std::move(judgement));
  }
  return judgements;
}

}  // namespace aibackend::cli
