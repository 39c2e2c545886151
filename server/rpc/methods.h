// What each method asks of a caller, as the contract says it (annotations.proto, `scope`).
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/access/principal.h"

namespace aibackend::rpc {

// Filled once, then only read: thread-safe.
class MethodScopes {
 public:
  // Of both services. Fails where a method has no scope, or one that isn't known: such a server
  // must not start.
  static absl::StatusOr<MethodScopes> OfContract();

  // The RPCs' names, in no order.
  std::vector<std::string> names() const;

  // By the RPC's name; of a name that is none: kAdmin.
  access::Scope Of(absl::string_view rpc) const;

 private:
  absl::flat_hash_map<std::string, access::Scope> scopes_;
};

}  // namespace aibackend::rpc
