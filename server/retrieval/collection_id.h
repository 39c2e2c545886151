// Which collection: a tenant's, by name. Tenants never see each other's.
#pragma once

#include <string>
#include <tuple>
#include <utility>

namespace aibackend::retrieval {

struct CollectionId {
  std::string name = "default";
  std::string tenant = "default";

  friend bool operator==(const CollectionId& a, const CollectionId& b) {
    return std::tie(a.tenant, a.name) == std::tie(b.tenant, b.name);
  }
  template <class H>
  friend H AbslHashValue(H h, const CollectionId& id) {
    return H::combine(std::move(h), id.tenant, id.name);
  }
};

}  // namespace aibackend::retrieval
