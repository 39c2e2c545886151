#include "server/extract/html.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/extract/failure.h"
#include "server/extract/file_format.h"
#include "server/extract/html_tree.h"
#include "server/extract/text_builder.h"

namespace aibackend::extract {
namespace {

// Where a page must name its charset (html.spec.whatwg.org, 4.2.5.4).
constexpr size_t kCharsetWithinBytes = 1024;
constexpr size_t kTitleBytesMax = 1024;

using Children = GumboVector;

GumboNode* At(const Children& children, unsigned int i) {
  return static_cast<GumboNode*>(children.data[i]);
}

const Children* ChildrenOf(const GumboNode* node) {
  switch (node->type) {
    case GUMBO_NODE_DOCUMENT:
      return &node->v.document.children;
    case GUMBO_NODE_ELEMENT:
      return &node->v.element.children;
    default:
      return nullptr;  // a template's content is never shown
  }
}

GumboTag TagOf(const GumboNode* node) {
  return node->type == GUMBO_NODE_ELEMENT ? node->v.element.tag : GUMBO_TAG_UNKNOWN;
}

bool IsText(const GumboNode* node) {
  return node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE ||
         node->type == GUMBO_NODE_CDATA;
}

absl::string_view Attribute(const GumboNode* node, const char* name) {
  const GumboAttribute* attribute = gumbo_get_attribute(&node->v.element.attributes, name);
  return attribute == nullptr ? absl::string_view() : attribute->value;
}

bool IsHidden(const GumboNode* node) {
  if (gumbo_get_attribute(&node->v.element.attributes, "hidden") != nullptr) return true;
  std::string style = absl::AsciiStrToLower(Attribute(node, "style"));
  style.erase(std::remove(style.begin(), style.end(), ' '), style.end());
  return absl::StrContains(style, "display:none");
}

// True for elements that show no text, or none of the page's own.
bool IsDropped(const GumboNode* node) {
  switch (TagOf(node)) {
    case GUMBO_TAG_HEAD:
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
    case GUMBO_TAG_NOSCRIPT:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_NOFRAMES:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_CANVAS:
    case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_SELECT:
    case GUMBO_TAG_TEXTAREA:
    case GUMBO_TAG_BUTTON:
    case GUMBO_TAG_DATALIST:
      return true;
    default:
      return node->type == GUMBO_NODE_ELEMENT && IsHidden(node);
  }
}

int HeadingLevel(GumboTag tag) {
  return tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6 ? tag - GUMBO_TAG_H1 + 1 : 0;
}

bool IsParagraph(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_P:
    case GUMBO_TAG_PRE:
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_FIELDSET:
    case GUMBO_TAG_HR:
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_DETAILS:
      return true;
    default:
      return HeadingLevel(tag) > 0;
  }
}

bool IsLine(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_LI:
    case GUMBO_TAG_DT:
    case GUMBO_TAG_DD:
    case GUMBO_TAG_TR:
    case GUMBO_TAG_TD:
    case GUMBO_TAG_TH:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_LEGEND:
    case GUMBO_TAG_BR:
      return true;
    default:
      return false;
  }
}

bool IsCell(const GumboNode* node) {
  return TagOf(node) == GUMBO_TAG_TD || TagOf(node) == GUMBO_TAG_TH;
}

// True if a row holds data, so that it reads well on one line; false where a table only lays out
// a page: its cells have several blocks, or tables and lists.
bool IsDataRow(const GumboNode* row) {
  const Children& cells = row->v.element.children;
  for (unsigned int i = 0; i < cells.length; ++i) {
    const Children* children = ChildrenOf(At(cells, i));
    int blocks = 0;
    for (unsigned int j = 0; children != nullptr && j < children->length; ++j) {
      const GumboTag tag = TagOf(At(*children, j));
      if (IsParagraph(tag)) blocks += tag == GUMBO_TAG_P || tag == GUMBO_TAG_DIV ? 1 : 2;
    }
    if (blocks > 1) return false;
  }
  return true;
}

class Walk {
 public:
  explicit Walk(TextBuilder& text) : text_(text) {}

  // Without recursion: a page nests as deep as it likes.
  void Run(const GumboNode* root) {
    Enter(root);
    while (!open_.empty() && !text_.full()) {
      Open& top = open_.back();
      if (top.next == top.children->length) {
        Leave();
      } else {
        Enter(At(*top.children, top.next++));
      }
    }
  }

 private:
  struct Open {
    const GumboNode* node;
    const Children* children;
    unsigned int next = 0;
    int items = 0;             // of a list, so far
    bool is_data_row = false;  // of a tr
  };

  void Enter(const GumboNode* node) {
    if (IsText(node)) return AddText(node->v.text.text);
    const Children* children = ChildrenOf(node);
    if (children == nullptr || IsDropped(node)) return;
    const GumboTag tag = TagOf(node);
    Open open{node, children};
    if (tag == GUMBO_TAG_TR && IsDataRow(node)) {
      open.is_data_row = true;
      text_.BeginRow();
    } else if (IsCell(node) && !open_.empty() && open_.back().is_data_row) {
      text_.BeginCell();
    } else {
      Break(tag);
    }
    if (const int level = HeadingLevel(tag)) text_.Mark(std::string(level, '#') + " ");
    if (tag == GUMBO_TAG_LI) MarkItem();
    if (tag == GUMBO_TAG_PRE) ++pre_depth_;
    open_.push_back(open);
  }

  void Leave() {
    const Open open = open_.back();
    open_.pop_back();
    const GumboTag tag = TagOf(open.node);
    if (tag == GUMBO_TAG_PRE) --pre_depth_;
    if (open.is_data_row) {
      text_.EndRow();
    } else if (!IsCell(open.node)) {
      Break(tag);
    }
  }

  void Break(GumboTag tag) {
    if (IsParagraph(tag) && !IsNestedList(tag)) {
      text_.BreakParagraph();
    } else if (IsParagraph(tag) || IsLine(tag)) {
      text_.BreakLine();
    }
  }

  // A list within an item belongs to it.
  bool IsNestedList(GumboTag tag) const {
    return (tag == GUMBO_TAG_UL || tag == GUMBO_TAG_OL) && !open_.empty() &&
           TagOf(open_.back().node) == GUMBO_TAG_LI;
  }

  void MarkItem() {
    const bool is_numbered = !open_.empty() && TagOf(open_.back().node) == GUMBO_TAG_OL;
    text_.Mark(is_numbered ? absl::StrCat(++open_.back().items, ". ") : "- ");
  }

  void AddText(const char* text) {
    if (pre_depth_ > 0) {
      text_.AddVerbatim(text);
    } else {
      text_.AddWords(text);
    }
  }

  TextBuilder& text_;
  std::vector<Open> open_;
  int pre_depth_ = 0;
};

const GumboNode* ChildOf(const GumboNode* node, GumboTag tag) {
  const Children* children = node == nullptr ? nullptr : ChildrenOf(node);
  for (unsigned int i = 0; children != nullptr && i < children->length; ++i) {
    if (TagOf(At(*children, i)) == tag) return At(*children, i);
  }
  return nullptr;
}

std::string TitleOf(const GumboNode* document) {
  const GumboNode* title =
      ChildOf(ChildOf(ChildOf(document, GUMBO_TAG_HTML), GUMBO_TAG_HEAD), GUMBO_TAG_TITLE);
  if (title == nullptr) return {};
  TextBuilder text(kTitleBytesMax);
  const Children& children = title->v.element.children;
  for (unsigned int i = 0; i < children.length; ++i) {
    if (IsText(At(children, i))) text.AddWords(At(children, i)->v.text.text);
  }
  return text.Take();
}

}  // namespace

absl::StatusOr<ExtractedDocument> ExtractHtml(absl::string_view html, const ExtractLimits& limits) {
  HtmlTree tree(limits.memory_bytes_max, limits.cpu_max);
  AIB_RETURN_IF_ERROR(tree.Parse(html));
  TextBuilder text(limits.text_bytes_max);
  Walk(text).Run(tree.document());
  if (text.full()) return TooLarge("the HTML page holds too much text");
  ExtractedDocument document;
  document.title = TitleOf(tree.document());
  document.text = text.Take();
  return document;
}

std::string CharsetOfHtml(absl::string_view bytes) {
  return CharsetOf(bytes.substr(0, kCharsetWithinBytes));
}

}  // namespace aibackend::extract
