#include "gateway/http/request_parser.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>

namespace aibackend::gateway::http {
namespace {

// httplib matches part headers of up to 8 KB with std::regex, which recurses for each character: on
// a stack of 2 MB a line of 7,000 bytes ends the process.
constexpr size_t kPartHeaderLineBytesMax = 1024;
constexpr size_t kPartHeaderLinesMax = 16;
constexpr size_t kBoundaryBytesMax = 70;  // RFC 2046, 5.1.1

// httplib answers request lines above 8192 bytes (fixed when the library was built) by itself.
constexpr size_t kPathBytesMax = 8000;

constexpr std::string_view kMultipart = "multipart/form-data";

Refused Malformed(std::string message) {
  return {Refusal::kMalformed, std::move(message)};
}

// What httplib reads instead of a socket.
class MemoryStream final : public httplib::Stream {
 public:
  MemoryStream(std::string_view head, std::string_view body, const Peer& peer)
      : head_(head), body_(body), peer_(peer) {}

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    std::string_view& from = head_.empty() ? body_ : head_;
    size = std::min(size, from.size());
    std::memcpy(to, from.data(), size);
    from.remove_prefix(size);
    return static_cast<ssize_t>(size);
  }
  // httplib's own answer: the Exchange's is the one that counts.
  ssize_t write(const char*, size_t size) override { return static_cast<ssize_t>(size); }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = peer_.address;
    port = peer_.port;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  std::string_view head_;
  std::string_view body_;
  const Peer& peer_;
};

// httplib's own query parser loses the "==" of "token=YQ==", makes "c" of "a=b=c" and drops the
// second of two equal pairs. Escapes are decoded by httplib.
void ParseQuery(std::string_view query, httplib::Params* params) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (equals == 0) continue;
    const std::string name(pair.substr(0, equals));
    const std::string value(pair.substr(std::min(equals + 1, pair.size())));
    params->emplace(httplib::detail::decode_url(name, true),
                    httplib::detail::decode_url(value, true));
  }
}

std::string_view HeaderValue(const RequestHead& head, std::string_view wanted) {
  for (const auto& [name, value] : head.headers) {
    if (EqualsIgnoreCase(name, wanted)) return value;
  }
  return {};
}

bool IsMultipart(std::string_view content_type) {
  return EqualsIgnoreCase(content_type.substr(0, kMultipart.size()), kMultipart);
}

bool IsBoundaryCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         (c != '\0' && std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos);
}

// Empty if there is none, or one that RFC 2046 doesn't allow.
std::string BoundaryOf(std::string_view content_type) {
  constexpr std::string_view kKey = "boundary=";
  while (true) {
    const size_t semicolon = content_type.find(';');
    if (semicolon == std::string_view::npos) return {};
    content_type.remove_prefix(semicolon + 1);
    const size_t start = std::min(content_type.find_first_not_of(" \t"), content_type.size());
    content_type.remove_prefix(start);
    if (EqualsIgnoreCase(content_type.substr(0, kKey.size()), kKey)) break;
  }
  content_type.remove_prefix(kKey.size());
  std::string_view boundary = content_type.substr(0, content_type.find(';'));
  if (!boundary.empty() && boundary.front() == '"') {
    boundary = content_type.substr(1);
    if (boundary.find('"') == std::string_view::npos) return {};
    boundary = boundary.substr(0, boundary.find('"'));
  }
  while (!boundary.empty() && boundary.back() == ' ') boundary.remove_suffix(1);
  const bool allowed = !boundary.empty() && boundary.size() <= kBoundaryBytesMax &&
                       std::all_of(boundary.begin(), boundary.end(), IsBoundaryCharacter);
  return allowed ? std::string(boundary) : std::string();
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// Looks at all that httplib could take for the head of a part.
bool PartHeadersAreShort(std::string_view body, const std::string& boundary) {
  const std::string opening = "--" + boundary + "\r\n";
  for (size_t at = body.find(opening); at != std::string_view::npos;
       at = body.find(opening, at + 1)) {
    std::string_view rest = body.substr(at + opening.size());
    for (size_t lines = 0;; ++lines) {
      const size_t end = rest.substr(0, kPartHeaderLineBytesMax).find("\r\n");
      if (end == std::string_view::npos || lines > kPartHeaderLinesMax) return false;
      if (end == 0) break;
      rest.remove_prefix(end + 2);
    }
  }
  return true;
}

// The head that httplib gets to see: the path, and what it needs to read a multipart body. The rest
// is filled in from our own reading, for httplib percent-decodes header values, trusts the first of
// two Content-Lengths, and knows only ten methods.
std::string CanonicalHead(const RequestHead& head, const std::string& boundary, size_t body_size) {
  const std::string path = head.path == "*" ? "/*" : head.path;
  if (boundary.empty()) return "GET " + path + " HTTP/1.1\r\n\r\n";
  return "POST " + path + " HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=" + boundary +
         "\r\nContent-Length: " + std::to_string(body_size) + "\r\n\r\n";
}

// Of an inflated and de-chunked body these would tell a lie.
bool DescribesTheWire(std::string_view name, bool coded) {
  return EqualsIgnoreCase(name, "Transfer-Encoding") ||
         (coded &&
          (EqualsIgnoreCase(name, "Content-Encoding") || EqualsIgnoreCase(name, "Content-Length")));
}

void FillIn(RequestHead* head, httplib::Request* request) {
  const bool coded = !HeaderValue(*head, "Content-Encoding").empty();
  request->method = std::move(head->method);
  request->target = std::move(head->target);
  request->version = head->http10 ? "HTTP/1.0" : "HTTP/1.1";
  if (head->path == "*") request->path = "*";
  request->headers.clear();
  for (auto& [name, value] : head->headers) {
    if (!DescribesTheWire(name, coded)) request->headers.emplace(std::move(name), std::move(value));
  }
  ParseQuery(head->query, &request->params);
  request->matches = {};  // they point into the path of the request that was moved from
  request->response_handler = nullptr;
}

}  // namespace

RequestParser::RequestParser() {
  // The one route. What carries a request out is in the request itself: see Parse().
  const auto hand_out = [](const httplib::Request& request, httplib::Response& response) {
    const httplib::ResponseHandler out = request.response_handler;
    out(response);
  };
  Get("/", hand_out);
  Post("/", hand_out);
}

MaybeRefused RequestParser::Parse(RequestHead* head, std::string body, const Peer& peer,
                                  httplib::Request* request) {
  if (head->path.size() > kPathBytesMax) {
    return Refused{Refusal::kHeadersTooLarge, "the path is too long"};
  }
  std::string boundary;
  const std::string_view content_type = HeaderValue(*head, "Content-Type");
  const bool multipart = !body.empty() && IsMultipart(content_type);
  if (multipart) {
    boundary = BoundaryOf(content_type);
    if (boundary.empty()) return Malformed("the multipart boundary is missing or malformed");
    if (!PartHeadersAreShort(body, boundary)) {
      return Malformed("a part's headers are too long or not ended");
    }
    // The line end behind the last boundary is optional (RFC 2046, 5.1.1), and Node 18 leaves it
    // out; httplib insists on it.
    if (EndsWith(body, "--" + boundary + "--")) body += "\r\n";
  }
  bool parsed = false;
  std::string path;
  // Routing happens for "/": the regular expression of a route must not meet a path of kilobytes.
  const auto set_up = [&](httplib::Request& parsing) {
    path = std::exchange(parsing.path, "/");
    parsing.response_handler = [&](const httplib::Response&) {
      *request = std::move(parsing);
      return parsed = true;
    };
  };
  const std::string canonical = CanonicalHead(*head, boundary, body.size());
  MemoryStream stream(canonical, multipart ? body : std::string_view(), peer);
  bool closed = false;
  try {
    process_request(stream, /*close_connection=*/false, closed, set_up);
  } catch (const std::exception&) {
    parsed = false;
  }
  if (!parsed) return Malformed("the multipart body is malformed");
  request->path = std::move(path);
  if (!multipart) request->body = std::move(body);
  FillIn(head, request);
  return std::nullopt;
}

}  // namespace aibackend::gateway::http
