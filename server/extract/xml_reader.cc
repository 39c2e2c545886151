#include "server/extract/xml_reader.h"

#include "server/extract/failure.h"

namespace aibackend::extract {
namespace {

// Tables within tables within text boxes: Word itself stops far below.
constexpr int kDepthMax = 512;
constexpr char kNamespaceEnd = '\n';  // can stand in no name

absl::string_view LocalName(const char* name) {
  const absl::string_view full(name);
  const size_t end = full.rfind(kNamespaceEnd);
  return end == absl::string_view::npos ? full : full.substr(end + 1);
}

}  // namespace

absl::string_view XmlAttributes::Get(absl::string_view local_name) const {
  for (const char** pair = pairs_; *pair != nullptr; pair += 2) {
    if (LocalName(pair[0]) == local_name) return pair[1];
  }
  return {};
}

XmlReader::XmlReader(XmlHandler& handler)
    : handler_(handler), parser_(XML_ParserCreateNS(nullptr, kNamespaceEnd), XML_ParserFree) {
  XML_SetUserData(parser_.get(), this);
  XML_SetElementHandler(parser_.get(), &XmlReader::Start, &XmlReader::End);
  XML_SetCharacterDataHandler(parser_.get(), &XmlReader::Text);
  XML_SetStartDoctypeDeclHandler(parser_.get(), &XmlReader::Doctype);
}

void XmlReader::Start(void* self, const char* name, const char** attributes) {
  auto& reader = *static_cast<XmlReader*>(self);
  if (++reader.depth_ > kDepthMax) {
    XML_StopParser(reader.parser_.get(), XML_FALSE);
    return;
  }
  reader.handler_.OnStart(LocalName(name), XmlAttributes(attributes));
}

void XmlReader::End(void* self, const char* name) {
  auto& reader = *static_cast<XmlReader*>(self);
  --reader.depth_;
  reader.handler_.OnEnd(LocalName(name));
}

void XmlReader::Text(void* self, const char* text, int size) {
  static_cast<XmlReader*>(self)->handler_.OnText({text, static_cast<size_t>(size)});
}

void XmlReader::Doctype(void* self, const char*, const char*, const char*, int) {
  XML_StopParser(static_cast<XmlReader*>(self)->parser_.get(), XML_FALSE);
}

absl::Status XmlReader::Parse(absl::string_view piece, bool is_last) {
  if (XML_Parse(parser_.get(), piece.data(), static_cast<int>(piece.size()), is_last ? 1 : 0) ==
      XML_STATUS_OK) {
    return absl::OkStatus();
  }
  return Damaged("the DOCX can't be read: a part of it is not the XML that it should be");
}

}  // namespace aibackend::extract
