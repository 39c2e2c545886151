#include "gateway/http/response_head.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "gateway/http/request_head.h"

namespace aibackend::gateway::http {
namespace {

const char* ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

bool IsTheEdges(std::string_view name) {
  constexpr std::array<std::string_view, 5> kOwn = {"Content-Length", "Transfer-Encoding",
                                                    "Connection", "Keep-Alive", "Date"};
  return std::any_of(kOwn.begin(), kOwn.end(),
                     [&](std::string_view own) { return EqualsIgnoreCase(name, own); });
}

void AppendHeader(std::string_view name, std::string_view value, std::string* head) {
  head->append(name).append(": ");
  for (char c : value) {
    const auto u = static_cast<unsigned char>(c);
    head->push_back((u < 0x20 && c != '\t') || u == 0x7f ? ' ' : c);
  }
  head->append("\r\n");
}

}  // namespace

std::string DateCache::Now() {
  const std::time_t now = std::time(nullptr);
  MutexLock lock(mutex_);
  if (now != second_) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::array<char, 64> text{};
    const size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    text_.assign(text.data(), size);
    second_ = now;
  }
  return text_;
}

std::string SerializeHead(int status, const HeaderList& headers, const Framing& framing,
                          const std::string& date) {
  if (status < 200 || status > 999) status = 500;
  std::string head;
  head.reserve(256);
  head.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  head.append(ReasonPhrase(status)).append("\r\n");
  for (const auto& [name, value] : headers) {
    const bool token = !name.empty() && std::all_of(name.begin(), name.end(), IsTokenCharacter);
    if (token && !IsTheEdges(name)) AppendHeader(name, value, &head);
  }
  if (framing.content_length) {
    AppendHeader("Content-Length", std::to_string(*framing.content_length), &head);
  }
  if (framing.chunked) AppendHeader("Transfer-Encoding", "chunked", &head);
  AppendHeader("Date", date, &head);
  if (framing.close) AppendHeader("Connection", "close", &head);
  if (framing.keep_alive) AppendHeader("Connection", "keep-alive", &head);
  return head.append("\r\n");
}

bool StatusHasBody(int status) {
  return status != 204 && status != 304;
}

}  // namespace aibackend::gateway::http
