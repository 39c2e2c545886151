// XML as a stream of elements, by expat within limits.
#pragma once

#include <expat.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace aibackend::extract {

// Attributes of an element; valid during the call they come with.
class XmlAttributes {
 public:
  explicit XmlAttributes(const char** pairs) : pairs_(pairs) {}
  // By the local name, whatever its namespace; empty where there is none.
  [[nodiscard]] absl::string_view Get(absl::string_view local_name) const;

 private:
  const char** pairs_;
};

// What a document is told to, in its order. Names are local ("p" for w:p).
class XmlHandler {
 public:
  virtual ~XmlHandler() = default;
  virtual void OnStart(absl::string_view name, const XmlAttributes& attributes) = 0;
  virtual void OnEnd(absl::string_view name) = 0;
  virtual void OnText(absl::string_view utf8) = 0;
};

// One document. Refuses a DOCTYPE: without one there are no entities to expand, and what it reads
// has none. Not thread-safe.
class XmlReader {
 public:
  explicit XmlReader(XmlHandler& handler);

  // Pieces of the document, cut anywhere; Finish() after the last. Fails with FIELD_INVALID.
  absl::Status Feed(absl::string_view piece) { return Parse(piece, false); }
  absl::Status Finish() { return Parse({}, true); }

 private:
  static void Start(void* self, const char* name, const char** attributes);
  static void End(void* self, const char* name);
  static void Text(void* self, const char* text, int size);
  static void Doctype(void* self, const char*, const char*, const char*, int);
  absl::Status Parse(absl::string_view piece, bool is_last);

  XmlHandler& handler_;
  std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser_;
  int depth_ = 0;
};

}  // namespace aibackend::extract
