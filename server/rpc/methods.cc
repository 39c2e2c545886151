#include "server/rpc/methods.h"

#include "absl/strings/str_cat.h"
#include "aibackend/v1/aibackend.pb.h"
#include "aibackend/v1/annotations.pb.h"
#include "google/protobuf/descriptor.h"

namespace aibackend::rpc {

absl::StatusOr<MethodScopes> MethodScopes::OfContract() {
  MethodScopes methods;
  const google::protobuf::FileDescriptor& file =
      *v1::GetRequestRequest::descriptor()->file()->pool()->FindFileByName(
          "aibackend/v1/aibackend.proto");
  for (int s = 0; s < file.service_count(); ++s) {
    const google::protobuf::ServiceDescriptor& service = *file.service(s);
    for (int m = 0; m < service.method_count(); ++m) {
      const google::protobuf::MethodDescriptor& method = *service.method(m);
      const auto scope = access::ScopeOf(method.options().GetExtension(v1::scope));
      if (!scope) {
        return absl::InternalError(
            absl::StrCat("the contract gives ", method.full_name(), " no known scope"));
      }
      methods.scopes_.emplace(method.name(), *scope);
    }
  }
  return methods;
}

std::vector<std::string> MethodScopes::names() const {
  std::vector<std::string> names;
  for (const auto& [name, scope] : scopes_) names.push_back(name);
  return names;
}

access::Scope MethodScopes::Of(absl::string_view rpc) const {
  const auto found = scopes_.find(rpc);
  return found == scopes_.end() ? access::Scope::kAdmin : found->second;
}

}  // namespace aibackend::rpc
