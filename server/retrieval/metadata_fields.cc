#include "server/retrieval/metadata_fields.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace aibackend::retrieval {
namespace {

using Json = nlohmann::json;

class Flattener {
 public:
  void AddMembers(const Json& object, const std::string& path, size_t depth) {
    for (const auto& [name, value] : object.items()) {
      Add(value, depth == 0 ? name : absl::StrCat(path, ".", name), depth + 1);
    }
  }

  MetadataFields fields;
  bool is_too_deep = false;

 private:
  void Add(const Json& value, const std::string& path, size_t depth) {
    if (value.is_null()) return;
    if (value.is_boolean()) {
      fields.push_back({path, MetadataValue(value.get<bool>())});
    } else if (value.is_number()) {
      fields.push_back({path, MetadataValue(value.get<double>())});
    } else if (value.is_string()) {
      fields.push_back({path, MetadataValue(value.get<std::string>())});
    } else if (depth > kMetadataDepthMax) {
      is_too_deep = true;
    } else if (value.is_array()) {
      for (const Json& element : value) Add(element, path, depth + 1);
    } else {
      fields.push_back({path, absl::nullopt});
      AddMembers(value, path, depth);
    }
  }
};

}  // namespace

MetadataFields FlattenMetadata(const std::string& metadata, bool* is_too_deep) {
  if (metadata.empty()) return {};
  const Json json = Json::parse(metadata, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return {};
  Flattener flat;
  flat.AddMembers(json, "", 0);
  if (is_too_deep != nullptr) *is_too_deep = flat.is_too_deep;
  std::sort(flat.fields.begin(), flat.fields.end());
  flat.fields.erase(std::unique(flat.fields.begin(), flat.fields.end()), flat.fields.end());
  return std::move(flat.fields);
}

}  // namespace aibackend::retrieval
