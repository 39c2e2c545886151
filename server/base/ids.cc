#include "server/base/ids.h"

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

namespace aibackend {

std::string UlidSource::Next(absl::string_view prefix) {
  static constexpr char kCrockford[] = "0123456789abcdefghjkmnpqrstvwxyz";
  static constexpr int kTimeDigits = 10;
  static constexpr int kRandomDigits = 16;
  thread_local absl::BitGen random;  // seeded by the system; ids are not secrets

  std::string id(prefix);
  id.resize(prefix.size() + kTimeDigits + kRandomDigits);
  char* out = &id[prefix.size()];
  auto ms = static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now()));
  for (int i = kTimeDigits - 1; i >= 0; --i, ms >>= 5) out[i] = kCrockford[ms & 31];
  for (int half = 0; half < 2; ++half) {
    uint64_t bits = absl::Uniform<uint64_t>(random);
    for (int i = 0; i < kRandomDigits / 2; ++i, bits >>= 5)
      out[kTimeDigits + half * 8 + i] = kCrockford[bits & 31];
  }
  return id;
}

}  // namespace aibackend
