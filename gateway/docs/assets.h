// The files the gateway serves itself: the page at /docs and its parts.
#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/http/edge.h"

namespace aibackend::gateway {

struct Asset {
  absl::string_view content;
  std::string content_type;
  std::string etag;  // of the content, quoted

  Asset(absl::string_view bytes, std::string type);
};

// By path: "/docs", "/docs/swagger-ui.css" …
std::map<std::string, Asset, std::less<>> DocsAssets();

// Answers with the asset, or 304 to a client that names its ETag.
void RespondAsset(Exchange& exchange, const Asset& asset);

}  // namespace aibackend::gateway
