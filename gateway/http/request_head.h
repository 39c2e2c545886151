// The request line and headers, read strictly (RFC 9112). Where the RFC lets a server repair or
// guess, this one refuses: two readers that repair differently are how requests are smuggled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/http/refused.h"

namespace aibackend::gateway::http {

struct RequestHead {
  std::string method;
  std::string target;  // as sent
  std::string path;    // of the target, still percent-encoded; its escapes are well-formed
  std::string query;   // of the target, without the '?'
  bool http10 = false;
  HeaderList headers;  // values as sent, without the white space around them
};

enum class ContentCoding { kIdentity, kGzip, kDeflate };

// How the body is framed and what the connection may do after it.
struct BodyPlan {
  bool chunked = false;
  uint64_t length = 0;  // when not chunked
  ContentCoding coding = ContentCoding::kIdentity;
  bool expects_continue = false;
  bool keep_alive = false;
};

// `bytes` is a whole head, its lines ended by CRLF, the empty line left out.
MaybeRefused ParseHead(std::string_view bytes, RequestHead* head);

// One header line without its CRLF, also of a chunked body's trailer.
MaybeRefused ParseHeaderLine(std::string_view line, std::string_view* name,
                             std::string_view* value);

// Checks the headers that frame the message (Host, Content-Length, Transfer-Encoding,
// Content-Encoding, Expect, Connection).
MaybeRefused PlanBody(const RequestHead& head, size_t body_bytes_max, BodyPlan* plan);

bool IsTokenCharacter(char c);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace aibackend::gateway::http
