#include "server/extract/docx.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "server/extract/cpu_budget.h"
#include "server/extract/failure.h"
#include "server/extract/text_builder.h"
#include "server/extract/xml_reader.h"
#include "server/extract/zip_member.h"

namespace aibackend::extract {
namespace {

constexpr int kHeadingLevelMax = 6;  // Markdown has no more
constexpr size_t kTitleBytesMax = 1024;
// Word itself stops at a few thousand; what is beyond is no heading.
constexpr size_t kStylesMax = 10'000;

// The level of each paragraph style that is a heading, by the style's id. Ids are in the language
// of who wrote the document ("berschrift1"); names are always English.
using HeadingLevels = absl::flat_hash_map<std::string, int>;

class StylesHandler final : public XmlHandler {
 public:
  HeadingLevels Take() { return std::move(levels_); }

  void OnStart(absl::string_view name, const XmlAttributes& attributes) override {
    if (name == "style") {
      id_ = std::string(attributes.Get("styleId"));
    } else if (name == "name") {
      Remember(absl::AsciiStrToLower(attributes.Get("val")));
    }
  }
  void OnEnd(absl::string_view name) override {
    if (name == "style") id_.clear();
  }
  void OnText(absl::string_view) override {}

 private:
  void Remember(absl::string_view style) {
    int level = style == "title" ? 1 : 0;
    if (absl::ConsumePrefix(&style, "heading ") && !absl::SimpleAtoi(style, &level)) return;
    if (id_.empty() || level < 1 || levels_.size() == kStylesMax) return;
    levels_[id_] = std::min(level, kHeadingLevelMax);
  }

  std::string id_;
  HeadingLevels levels_;
};

// word/document.xml and word/footnotes.xml (ECMA-376-1, 17.2 to 17.4, 17.11).
class BodyHandler final : public XmlHandler {
 public:
  BodyHandler(TextBuilder& text, const HeadingLevels& levels) : text_(text), levels_(levels) {}

  void OnStart(absl::string_view name, const XmlAttributes& attributes) override {
    if (skipped_depth_ > 0 || IsSkipped(name)) {
      ++skipped_depth_;
    } else if (name == "p") {
      is_open_ = false;
      item_ = false;
      level_ = 0;
    } else if (name == "pStyle") {
      const auto found = levels_.find(attributes.Get("val"));
      if (found != levels_.end()) level_ = found->second;
    } else if (name == "numPr") {
      item_ = true;
    } else if (name == "t") {
      OpenParagraph();
      in_text_ = true;
    } else if (name == "tbl") {
      text_.BreakParagraph();
    } else if (name == "tr") {
      text_.BeginRow();
    } else if (name == "tc") {
      text_.BeginCell();
    } else {
      OnSign(name);
    }
  }

  void OnEnd(absl::string_view name) override {
    if (skipped_depth_ > 0) {
      --skipped_depth_;
    } else if (name == "pPr") {
      OpenParagraph();
    } else if (name == "t") {
      in_text_ = false;
    } else if (name == "p") {
      OpenParagraph();
      text_.BreakLine();
      after_item_ = item_;
    } else if (name == "tr") {
      text_.EndRow();
    }
  }

  void OnText(absl::string_view utf8) override {
    if (in_text_ && skipped_depth_ == 0) text_.AddVerbatim(utf8);
  }

 private:
  // Text that was moved or deleted, and the second telling of a drawing. (Deleted text is
  // w:delText, never w:t.)
  static bool IsSkipped(absl::string_view name) {
    return name == "moveFrom" || name == "Fallback" || name == "del";
  }

  void OnSign(absl::string_view name) {
    // A tab stop in a style is a w:tab too, within w:tabs.
    if (name == "tabs") {
      ++skipped_depth_;
    } else if (name == "tab") {
      text_.AddVerbatim("\t");
    } else if (name == "br" || name == "cr") {
      text_.BreakLine();
    } else if (name == "noBreakHyphen") {
      text_.AddVerbatim("-");
    }
  }

  // What breaks a paragraph from the one before is known when its properties have been read. Items
  // of a list stand close, as in Markdown.
  void OpenParagraph() {
    if (is_open_) return;
    is_open_ = true;
    if (item_ && after_item_) {
      text_.BreakLine();
    } else {
      text_.BreakParagraph();
    }
    if (level_ > 0) {
      text_.Mark(std::string(static_cast<size_t>(level_), '#') + " ");
    } else if (item_) {
      text_.Mark("- ");
    }
  }

  TextBuilder& text_;
  const HeadingLevels& levels_;
  int skipped_depth_ = 0;
  bool in_text_ = false;
  // Of the paragraph: whether its break is written, and what it is.
  bool is_open_ = true;
  bool item_ = false;
  bool after_item_ = false;
  int level_ = 0;
};

// docProps/core.xml
class TitleHandler final : public XmlHandler {
 public:
  std::string Take() { return title_.Take(); }
  void OnStart(absl::string_view name, const XmlAttributes&) override {
    in_title_ = name == "title";
  }
  void OnEnd(absl::string_view) override { in_title_ = false; }
  void OnText(absl::string_view utf8) override {
    if (in_title_) title_.AddWords(utf8);
  }

 private:
  bool in_title_ = false;
  TextBuilder title_{kTitleBytesMax};
};

class Docx {
 public:
  Docx(absl::string_view bytes, const ExtractLimits& limits)
      : bytes_(bytes), limits_(limits), cpu_(limits.cpu_max) {}

  // False where the file has no such part.
  absl::StatusOr<bool> Read(absl::string_view part, XmlHandler& handler) const {
    XmlReader reader(handler);
    auto found = ReadZipMember(bytes_, part, limits_, cpu_,
                               [&](absl::string_view piece) { return reader.Feed(piece); });
    if (found.ok() && *found) AIB_RETURN_IF_ERROR(reader.Finish());
    return found;
  }

 private:
  const absl::string_view bytes_;
  const ExtractLimits& limits_;
  const CpuBudget cpu_;
};

}  // namespace

absl::StatusOr<ExtractedDocument> ExtractDocx(absl::string_view bytes,
                                              const ExtractLimits& limits) {
  const Docx docx(bytes, limits);
  StylesHandler styles;
  AIB_RETURN_IF_ERROR(docx.Read("word/styles.xml", styles).status());
  const HeadingLevels levels = styles.Take();

  TextBuilder text(limits.text_bytes_max);
  BodyHandler body(text, levels);
  AIB_ASSIGN_OR_RETURN(const bool has_body, docx.Read("word/document.xml", body));
  if (!has_body) return Unsupported("the file is a zip archive, but no DOCX");
  text.BreakParagraph();
  BodyHandler notes(text, levels);
  AIB_RETURN_IF_ERROR(docx.Read("word/footnotes.xml", notes).status());
  if (text.full()) return TooLarge("the DOCX holds too much text");

  TitleHandler title;
  AIB_RETURN_IF_ERROR(docx.Read("docProps/core.xml", title).status());
  ExtractedDocument document;
  document.title = title.Take();
  document.text = text.Take();
  return document;
}

}  // namespace aibackend::extract
