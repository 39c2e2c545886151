#include <openssl/err.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"
#include "cjose/header.h"
#include "cjose/jws.h"
#include "server/access/jwt_keys.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

// Characters of base64url in a signature.
constexpr size_t kHs256Chars = 43;      // 32 bytes
constexpr size_t kEs256Chars = 86;      // 64
constexpr size_t kRs256CharsMin = 342;  // 256, of a key of 2048 bits

struct FreeJws {
  void operator()(cjose_jws_t* jws) const { cjose_jws_release(jws); }
};
using Jws = std::unique_ptr<cjose_jws_t, FreeJws>;

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

absl::Status Refused(absl::string_view why) {
  ERR_clear_error();  // what cjose left would be read as the next caller's
  return MakeError(Reason::KEY_INVALID, why);
}

bool IsBase64Url(absl::string_view part) {
  return !part.empty() && part.size() % 4 != 1 && std::all_of(part.begin(), part.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

absl::optional<JwtAlgorithm> AlgorithmOf(cjose_header_t* header) {
  const char* name = cjose_header_get(header, CJOSE_HDR_ALG, nullptr);
  if (name == nullptr) return absl::nullopt;
  const absl::string_view alg(name);
  if (alg == "HS256") return JwtAlgorithm::kHs256;
  if (alg == "RS256") return JwtAlgorithm::kRs256;
  if (alg == "ES256") return JwtAlgorithm::kEs256;
  return absl::nullopt;
}

// cjose 0.6 compares and halves a signature of any length; here it has the one it must have.
bool HasLengthOf(JwtAlgorithm algorithm, absl::string_view signature) {
  switch (algorithm) {
    case JwtAlgorithm::kHs256:
      return signature.size() == kHs256Chars;
    case JwtAlgorithm::kEs256:
      return signature.size() == kEs256Chars;
    case JwtAlgorithm::kRs256:
      break;
  }
  return signature.size() >= kRs256CharsMin;
}

bool Fits(const JwtKeySet& set, const JwtKey& key, JwtAlgorithm algorithm, const char* kid) {
  return key.algorithm == algorithm && (!set.by_kid || kid == nullptr || key.kid == kid);
}

}  // namespace

absl::StatusOr<std::string> VerifiedPayload(const JwtKeySet& set, absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  if (parts.size() != 3 || !std::all_of(parts.begin(), parts.end(), IsBase64Url)) {
    return Refused("it isn't three parts of base64url");
  }
  const Jws jws(cjose_jws_import(token.data(), token.size(), nullptr));
  if (jws == nullptr) return Refused("its header can't be read");
  cjose_header_t* header = cjose_jws_get_protected(jws.get());
  const auto algorithm = AlgorithmOf(header);
  if (!algorithm) return Refused("its algorithm is none of HS256, RS256 and ES256");
  if (!HasLengthOf(*algorithm, parts[2])) return Refused("its signature has a wrong length");
  // Extensions that must be understood: we understand none (RFC 7515, 4.1.11).
  const std::unique_ptr<char, FreeText> crit(cjose_header_get_raw(header, "crit", nullptr));
  if (crit != nullptr) return Refused("its header has `crit`");

  const char* kid = cjose_header_get(header, CJOSE_HDR_KID, nullptr);
  bool is_any_tried = false;
  for (const JwtKey& key : set.keys) {
    if (!Fits(set, key, *algorithm, kid)) continue;
    is_any_tried = true;
    if (!cjose_jws_verify(jws.get(), key.jwk.get(), nullptr)) continue;
    uint8_t* payload = nullptr;
    size_t size = 0;
    if (!cjose_jws_get_plaintext(jws.get(), &payload, &size, nullptr)) break;
    ERR_clear_error();
    return std::string(reinterpret_cast<const char*>(payload), size);
  }
  return Refused(is_any_tried ? "its signature is wrong" : "no key fits its algorithm and kid");
}

}  // namespace aibackend::access
