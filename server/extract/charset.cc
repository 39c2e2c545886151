#include "server/extract/charset.h"

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "server/base/text.h"
#include "server/extract/failure.h"

namespace aibackend::extract {
namespace {

// What ICU's guess looks at: more makes it no better, and slower.
constexpr size_t kGuessedBytes = 16 << 10;
// Of 100; below it the guess is noise (short texts of one accent), and Windows-1252 is likelier.
constexpr int kGuessConfidenceMin = 25;
// Text has next to no control characters. One in 200 forgives terminal logs and their colours.
constexpr size_t kTextPerControlMin = 200;
// Malformed UTF-8 with this many well-formed characters to a broken one was still meant as UTF-8.
constexpr size_t kGoodPerBrokenMin = 4;

absl::Status Binary() {
  return Unsupported("the file is binary, not text, and of no format that can be read");
}

bool IsControl(unsigned char c) {
  return (c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f') || c == 0x7F;
}

bool IsBinary(absl::string_view bytes) {
  if (bytes.find('\0') != absl::string_view::npos) return true;
  const auto controls = static_cast<size_t>(std::count_if(
      bytes.begin(), bytes.end(), [](char c) { return IsControl(static_cast<unsigned char>(c)); }));
  return controls > bytes.size() / kTextPerControlMin + 1;
}

// True if `bytes` were meant as UTF-8, though some are malformed: a few broken among well-formed
// characters, or a last one that was cut.
bool IsMostlyUtf8(absl::string_view bytes) {
  const auto size = static_cast<int32_t>(bytes.size());
  size_t good = 0;
  size_t broken = 0;
  bool only_cut = true;
  for (int32_t i = 0; i < size;) {
    const int32_t start = i;
    UChar32 c;
    U8_NEXT(bytes.data(), i, size, c);
    good += c >= 0x80;
    broken += c < 0;
    // A lead byte alone at the end may as well be a letter of Latin-1.
    if (c < 0 && (i < size || i - start < 2)) only_cut = false;
  }
  return only_cut || good >= kGoodPerBrokenMin * broken;
}

// Fails where ICU knows no such charset.
absl::StatusOr<std::string> Convert(absl::string_view bytes, const char* charset) {
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, decltype(&ucnv_close)> converter(ucnv_open(charset, &error),
                                                                     ucnv_close);
  if (U_FAILURE(error)) return absl::NotFoundError("unknown charset");
  const icu::UnicodeString text(bytes.data(), static_cast<int32_t>(bytes.size()), converter.get(),
                                error);
  if (U_FAILURE(error)) return Damaged("the file can't be read in the charset it names");
  std::string utf8;
  return text.toUTF8String(utf8);  // a lone surrogate becomes U+FFFD
}

absl::StatusOr<std::string> ConvertText(absl::string_view bytes, const char* charset) {
  auto text = Convert(bytes, charset);
  if (text.ok() && IsBinary(*text)) return Binary();
  return text;
}

// A single-byte or East Asian charset.
std::string GuessCharset(absl::string_view bytes) {
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)> detector(ucsdet_open(&error),
                                                                            ucsdet_close);
  const absl::string_view start = bytes.substr(0, kGuessedBytes);
  ucsdet_setText(detector.get(), start.data(), static_cast<int32_t>(start.size()), &error);
  const UCharsetMatch* match = ucsdet_detect(detector.get(), &error);
  if (U_FAILURE(error) || match == nullptr) return "windows-1252";
  const int confidence = ucsdet_getConfidence(match, &error);
  const char* name = ucsdet_getName(match, &error);
  if (U_FAILURE(error) || confidence < kGuessConfidenceMin || name == nullptr ||
      absl::StartsWith(name, "UTF") || absl::StartsWith(name, "IBM")) {
    return "windows-1252";
  }
  return name;
}

bool IsUtf8Name(absl::string_view charset) {
  return charset == "utf-8" || charset == "utf8" || charset == "us-ascii" || charset == "ascii";
}

// As every browser does (encoding.spec.whatwg.org): Latin-1 has control characters where
// Windows-1252 has the quotation marks that were meant.
std::string AsBrowsersDo(absl::string_view charset) {
  return charset == "iso-8859-1" || charset == "latin1" ? "windows-1252" : std::string(charset);
}

}  // namespace

absl::StatusOr<std::string> DecodeText(absl::string_view bytes, absl::string_view charset) {
  if (absl::ConsumePrefix(&bytes, "\xEF\xBB\xBF")) charset = "utf-8";
  if (absl::StartsWith(bytes, "\xFF\xFE")) return ConvertText(bytes.substr(2), "UTF-16LE");
  if (absl::StartsWith(bytes, "\xFE\xFF")) return ConvertText(bytes.substr(2), "UTF-16BE");
  if (!charset.empty() && !IsUtf8Name(charset)) {
    auto text = ConvertText(bytes, AsBrowsersDo(charset).c_str());
    if (!absl::IsNotFound(text.status())) return text;
  }
  if (IsBinary(bytes)) return Binary();
  if (IsValidUtf8(bytes)) return std::string(bytes);
  if (IsUtf8Name(charset) || IsMostlyUtf8(bytes)) return ReplaceMalformed(bytes);
  return ConvertText(bytes, GuessCharset(bytes).c_str());
}

std::string ReplaceMalformed(absl::string_view text) {
  const auto size = static_cast<int32_t>(text.size());
  std::string kept;
  kept.reserve(text.size());
  for (int32_t i = 0; i < size;) {
    const int32_t start = i;
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0) {
      kept.append("\xEF\xBF\xBD");
    } else {
      kept.append(text.data() + start, static_cast<size_t>(i - start));
    }
  }
  return kept;
}

std::string CleanText(absl::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r') {
      if (i + 1 == text.size() || text[i + 1] != '\n') clean.push_back('\n');
    } else if (c == '\f') {
      clean.append("\n\n");
    } else if (!IsControl(static_cast<unsigned char>(c))) {
      clean.push_back(c);
    }
  }
  return clean;
}

}  // namespace aibackend::extract
