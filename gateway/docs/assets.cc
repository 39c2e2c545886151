#include "gateway/docs/assets.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/docs/embedded.h"

namespace aibackend::gateway {
namespace {

// FNV-1a, 64 bits (datatracker.ietf.org/doc/draft-eastlake-fnv): the same for every process of a
// build, unlike absl::Hash. It only has to tell one build's files from another's.
uint64_t Fingerprint(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// Only what this gateway serves itself; Swagger UI sets style attributes and data: images.
constexpr char kPolicy[] =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'";

}  // namespace

Asset::Asset(absl::string_view bytes, std::string type)
    : content(bytes),
      content_type(std::move(type)),
      etag(absl::StrCat("\"", absl::Hex(Fingerprint(bytes), absl::kZeroPad16), "\"")) {}

std::map<std::string, Asset, std::less<>> DocsAssets() {
  const std::string java_script = "text/javascript; charset=utf-8";
  const std::string html = "text/html; charset=utf-8";
  std::map<std::string, Asset, std::less<>> assets;
  assets.emplace("/docs", Asset(EmbeddedDocsHtml(), html));
  assets.emplace("/docs/", Asset(EmbeddedDocsHtml(), html));
  assets.emplace("/docs/docs.js", Asset(EmbeddedDocsJs(), java_script));
  assets.emplace("/docs/swagger-ui-bundle.js", Asset(EmbeddedSwaggerJs(), java_script));
  assets.emplace("/docs/swagger-ui.css", Asset(EmbeddedSwaggerCss(), "text/css; charset=utf-8"));
  assets.emplace("/docs/favicon.png", Asset(EmbeddedFavicon(), "image/png"));
  assets.emplace("/favicon.ico", Asset(EmbeddedFavicon(), "image/png"));
  return assets;
}

void RespondAsset(Exchange& exchange, const Asset& asset) {
  // no-cache: keep it, but ask; a new build's page never meets an old build's parts.
  HeaderList headers = {{"ETag", asset.etag},
                        {"Cache-Control", "no-cache"},
                        {"Content-Security-Policy", kPolicy},
                        {"X-Content-Type-Options", "nosniff"}};
  const std::string known = exchange.request().get_header_value("If-None-Match");
  if (known == "*" || absl::StrContains(known, asset.etag))
    return exchange.Respond(304, std::move(headers), "");
  headers.emplace_back("Content-Type", asset.content_type);
  exchange.Respond(200, std::move(headers), std::string(asset.content));
}

}  // namespace aibackend::gateway
