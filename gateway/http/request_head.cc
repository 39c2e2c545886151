#include "gateway/http/request_head.h"

#include <algorithm>
#include <cctype>

namespace aibackend::gateway::http {
namespace {

constexpr size_t kMethodBytesMax = 32;  // the longest registered one has 17

MaybeRefused Malformed(std::string message) {
  return Refused{Refusal::kMalformed, std::move(message)};
}

bool IsHex(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

bool IsControl(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u < 0x20 || u == 0x7f;
}

std::string_view TrimWhitespace(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool EscapesAreWellFormed(std::string_view path) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') continue;
    if (i + 2 >= path.size() || !IsHex(path[i + 1]) || !IsHex(path[i + 2])) return false;
    if (path[i + 1] == '0' && path[i + 2] == '0') return false;  // a NUL ends C strings
    i += 2;
  }
  return true;
}

// Origin form, absolute form, or the asterisk of OPTIONS. No CONNECT: this is no proxy.
MaybeRefused ParseTarget(RequestHead* head) {
  std::string_view rest = head->target;
  const bool clean =
      std::none_of(rest.begin(), rest.end(), [](char c) { return IsControl(c) || c == '#'; });
  if (!clean) return Malformed("the request target has a character that it must not have");
  if (rest == "*") {
    if (head->method != "OPTIONS") return Malformed("the target * is for OPTIONS only");
    head->path = "*";
    return std::nullopt;
  }
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!EqualsIgnoreCase(rest.substr(0, scheme.size()), scheme)) continue;
    rest.remove_prefix(scheme.size());
    rest.remove_prefix(std::min(rest.find_first_of("/?"), rest.size()));
    break;
  }
  const size_t query = rest.find('?');
  head->path = std::string(rest.substr(0, query));
  if (query != std::string_view::npos) head->query = std::string(rest.substr(query + 1));
  if (head->path.empty() && head->target.front() != '/') head->path = "/";
  if (head->path.empty() || head->path.front() != '/') {
    return Malformed("the request target must be a path");
  }
  if (!EscapesAreWellFormed(head->path)) return Malformed("the path has a bad percent escape");
  return std::nullopt;
}

MaybeRefused ParseRequestLine(std::string_view line, RequestHead* head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first + 1) {
    return Malformed("the request line must be: method, target, version");
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (method.empty() || method.size() > kMethodBytesMax ||
      !std::all_of(method.begin(), method.end(), IsTokenCharacter)) {
    return Malformed("the method isn't a token");
  }
  if (target.find(' ') != std::string_view::npos) {
    return Malformed("the request target has a space");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return Malformed("the version must be HTTP/1.1 or HTTP/1.0");
  }
  head->method = std::string(method);
  head->target = std::string(target);
  head->http10 = version == "HTTP/1.0";
  return ParseTarget(head);
}

MaybeRefused CheckHost(const RequestHead& head) {
  int hosts = 0;
  for (const auto& [name, value] : head.headers) {
    if (!EqualsIgnoreCase(name, "Host")) continue;
    ++hosts;
    if (value.find_first_of(" \t/@,\\?#") != std::string::npos) {
      return Malformed("the Host header isn't a host");
    }
  }
  if (hosts > 1) return Malformed("more than one Host header");
  if (hosts == 0 && !head.http10) return Malformed("the Host header is missing");
  return std::nullopt;
}

MaybeRefused ParseContentLength(std::string_view value, uint64_t* length) {
  constexpr size_t kDigitsMax = 18;  // what surely fits 64 bits
  const bool digits = std::all_of(value.begin(), value.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0;
  });
  if (value.empty() || value.size() > kDigitsMax || !digits) {
    return Refused{Refusal::kBadContentLength, "Content-Length must be a decimal number"};
  }
  *length = 0;
  for (char c : value) *length = *length * 10 + static_cast<uint64_t>(c - '0');
  return std::nullopt;
}

MaybeRefused PlanFraming(const RequestHead& head, BodyPlan* plan) {
  bool has_length = false;
  for (const auto& [name, value] : head.headers) {
    if (EqualsIgnoreCase(name, "Content-Length")) {
      if (has_length) {
        return Refused{Refusal::kBadContentLength, "more than one Content-Length header"};
      }
      has_length = true;
      if (auto refused = ParseContentLength(value, &plan->length)) return refused;
    } else if (EqualsIgnoreCase(name, "Transfer-Encoding")) {
      if (plan->chunked) return Malformed("more than one Transfer-Encoding header");
      if (head.http10) return Malformed("HTTP/1.0 has no Transfer-Encoding");
      if (!EqualsIgnoreCase(value, "chunked")) {
        return Refused{Refusal::kUnsupportedEncoding, "the only Transfer-Encoding is chunked"};
      }
      plan->chunked = true;
    }
  }
  if (has_length && plan->chunked) {
    return Refused{Refusal::kBadContentLength, "Content-Length together with Transfer-Encoding"};
  }
  return std::nullopt;
}

MaybeRefused PlanCoding(const RequestHead& head, BodyPlan* plan) {
  bool seen = false;
  for (const auto& [name, value] : head.headers) {
    if (!EqualsIgnoreCase(name, "Content-Encoding")) continue;
    if (EqualsIgnoreCase(value, "gzip") || EqualsIgnoreCase(value, "x-gzip")) {
      plan->coding = ContentCoding::kGzip;
    } else if (EqualsIgnoreCase(value, "deflate")) {
      plan->coding = ContentCoding::kDeflate;
    } else if (!EqualsIgnoreCase(value, "identity")) {
      return Refused{Refusal::kUnsupportedEncoding,
                     "Content-Encoding must be gzip, deflate or identity"};
    }
    if (seen) return Refused{Refusal::kUnsupportedEncoding, "only one Content-Encoding is served"};
    seen = true;
  }
  return std::nullopt;
}

bool HasListMember(const RequestHead& head, std::string_view header, std::string_view member) {
  for (const auto& [name, value] : head.headers) {
    if (!EqualsIgnoreCase(name, header)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      if (EqualsIgnoreCase(TrimWhitespace(rest.substr(0, comma)), member)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

}  // namespace

bool IsTokenCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [lower](char x, char y) { return lower(x) == lower(y); });
}

MaybeRefused ParseHeaderLine(std::string_view line, std::string_view* name,
                             std::string_view* value) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return Malformed("a header line has no name and colon");
  }
  // White space before the colon, and folded lines, which begin with it, fail here too.
  *name = line.substr(0, colon);
  if (!std::all_of(name->begin(), name->end(), IsTokenCharacter)) {
    return Malformed("a header's name isn't a token");
  }
  *value = TrimWhitespace(line.substr(colon + 1));
  if (std::any_of(value->begin(), value->end(), [](char c) { return IsControl(c) && c != '\t'; })) {
    return Malformed("a header's value has a control character");
  }
  return std::nullopt;
}

MaybeRefused ParseHead(std::string_view bytes, RequestHead* head) {
  bool first = true;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find("\r\n"), bytes.size());
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 2, bytes.size()));
    if (first) {
      if (auto refused = ParseRequestLine(line, head)) return refused;
      first = false;
      continue;
    }
    std::string_view name;
    std::string_view value;
    if (auto refused = ParseHeaderLine(line, &name, &value)) return refused;
    head->headers.emplace_back(name, value);
  }
  return CheckHost(*head);
}

MaybeRefused PlanBody(const RequestHead& head, size_t body_bytes_max, BodyPlan* plan) {
  if (auto refused = PlanFraming(head, plan)) return refused;
  if (auto refused = PlanCoding(head, plan)) return refused;
  if (plan->length > body_bytes_max) {
    return Refused{Refusal::kBodyTooLarge, "the body is too large"};
  }
  plan->expects_continue = !head.http10 && HasListMember(head, "Expect", "100-continue");
  const bool close = HasListMember(head, "Connection", "close");
  plan->keep_alive = !close && (!head.http10 || HasListMember(head, "Connection", "keep-alive"));
  return std::nullopt;
}

}  // namespace aibackend::gateway::http
