// Hands a framed request to cpp-httplib, which makes an httplib::Request of it.
#pragma once

#include <string>

#include "gateway/http/request_head.h"
#include "httplib.h"

namespace aibackend::gateway::http {

struct Peer {
  std::string address;
  int port = -1;
};

// An httplib::Server that never listens: requests come from memory, and its answers go nowhere.
// Thread-safe.
class RequestParser final : private httplib::Server {
 public:
  RequestParser();

  // Moves `head` and `body` into `request`. Says why not if the body is multipart and malformed.
  MaybeRefused Parse(RequestHead* head, std::string body, const Peer& peer,
                     httplib::Request* request);
};

}  // namespace aibackend::gateway::http
