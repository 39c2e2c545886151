#include "server/rpc/idempotency.h"

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "openssl/evp.h"
#include "server/base/status.h"

namespace aibackend::rpc {
namespace {

constexpr char kKey[] = "idempotency-key";
constexpr char kLastEventId[] = "last-event-id";

bool IsPrintable(grpc::string_ref text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

absl::StatusOr<absl::optional<std::string>> IdempotencyKeyOf(
    const grpc::CallbackServerContext& context) {
  const auto [first, last] = context.client_metadata().equal_range(kKey);
  if (first == last) return absl::optional<std::string>();
  const grpc::string_ref key = first->second;
  if (std::next(first) != last || key.empty() || key.size() > kIdempotencyKeyBytesMax ||
      !IsPrintable(key)) {
    return MakeError(Reason::IDEMPOTENCY_KEY_INVALID,
                     absl::StrCat("an idempotency-key is given once and is 1 to ",
                                  kIdempotencyKeyBytesMax, " printable ASCII characters"),
                     kKey);
  }
  return absl::make_optional<std::string>(key.data(), key.size());
}

absl::StatusOr<absl::optional<int64_t>> LastEventIdOf(const grpc::CallbackServerContext& context) {
  const auto [first, last] = context.client_metadata().equal_range(kLastEventId);
  if (first == last) return absl::optional<int64_t>();
  const absl::string_view text(first->second.data(), first->second.size());
  int64_t position = 0;
  if (std::next(first) != last || !absl::SimpleAtoi(text, &position) || position < 0) {
    return MakeError(Reason::FIELD_INVALID,
                     "last-event-id is the sequence of the last event that came, a number",
                     kLastEventId);
  }
  return absl::make_optional(position);
}

std::string Fingerprint(absl::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

std::string Fingerprint(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // maps in the order of their keys
    message.SerializeToCodedStream(&coded);
  }
  return Fingerprint(bytes);
}

}  // namespace aibackend::rpc
