// Files of each format, broken at random: whatever comes in, Extract() answers within its limits
// and keeps what extract.h promises. The sanitizers see the rest.
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "tests/unit/server/extract/sample_files.h"

namespace aibackend::extract {
namespace {

struct Sample {
  std::string file_name;
  std::string bytes;
  int mutations;  // a PDF costs a process
};

std::vector<Sample> Samples() {
  return {
      {"a.txt", "Größe, 日本語, plain words.\r\nAnd a second line.", 300},
      {"a.html",
       "<!doctype html><title>T</title><h1>H</h1><table><tr><td>a<td>b</table><ul><li>x<li>y</ul>"
       "<p>text &amp; <b>bold</p><pre> "
       "x\n</pre><svg><title>s</title></svg><select><option>o</select>",
       800},
      {"a.csv", "id,text,lang\n1,\"a \"\"b\"\"\nc\",en\n2,d,\n", 300},
      {"b.csv", "name;age\nAnn;41\nBob;\"4;2\"\n", 300},
      {"a.json", R"([{"id":1,"text":"a\u00e9\n","metadata":{"k":[1,2.5e3,null]}},{"text":"b"}])",
       300},
      {"b.json", R"({"a":{"b":[1,"x",true,null]},"c":"\ud83d\ude00"})", 300},
      {"a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\",\"x\":[1]}\n", 300},
      {"a.docx",
       MakeDocx(
           Paragraph("One") + "<w:tbl><w:tr><w:tc>" + Paragraph("a") + "</w:tc></w:tr></w:tbl>",
           {{"docProps/core.xml", "<c><title>T</title></c>"}}),
       800},
      {"a.pdf", MakePdf({"Hello from a PDF.", "Second line."}), 40},
  };
}

// One to four changes: a bit, a byte, a piece doubled, moved or cut out, the end cut off.
std::string Mutate(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  for (size_t changes = 1 + below(4); changes > 0; --changes) {
    const size_t at = below(bytes.size());
    const size_t size = 1 + below(16);
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<char>(random());
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, size));
        break;
      case 3:
        bytes.insert(below(bytes.size()), bytes.substr(at, size));
        break;
      case 4:
        bytes.erase(at, size);
        break;
      default:
        if (below(4) == 0) bytes.resize(at);
        break;
    }
  }
  return bytes;
}

void ExpectPromisesKept(const Extracted& extracted) {
  ASSERT_FALSE(extracted.documents.empty());
  for (const ExtractedDocument& document : extracted.documents) {
    EXPECT_FALSE(absl::StripAsciiWhitespace(document.text).empty());
    for (const std::string& text : {document.text, document.title, document.id, document.source}) {
      EXPECT_TRUE(IsValidUtf8(text));
      EXPECT_EQ(text.find_first_of(std::string("\0\r\f\x1B", 4)), std::string::npos);
    }
    EXPECT_TRUE(IsValidUtf8(document.metadata));
  }
}

bool IsPromised(Reason::Reason reason) {
  return reason == Reason::FIELD_INVALID || reason == Reason::REQUEST_TOO_LARGE ||
         reason == Reason::UNSUPPORTED_MEDIA_TYPE;
}

TEST(Mutations, NeverBreakAPromise) {
  std::mt19937 random(20240607);
  for (const Sample& sample : Samples()) {
    int read = 0;
    for (int i = 0; i < sample.mutations; ++i) {
      const std::string bytes = Mutate(sample.bytes, random);
      SCOPED_TRACE(absl::StrCat(sample.file_name, ", mutation ", i));
      const auto extracted = ExtractFile(bytes, sample.file_name);
      if (extracted.ok()) {
        ++read;
        ExpectPromisesKept(*extracted);
      } else {
        EXPECT_TRUE(IsPromised(ReasonOf(extracted.status()))) << extracted.status();
      }
    }
    RecordProperty(absl::StrCat("read ", sample.file_name), read);
  }
}

}  // namespace
}  // namespace aibackend::extract
