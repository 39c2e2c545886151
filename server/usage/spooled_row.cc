#include "server/usage/spooled_row.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "server/usage/ledger_sql.h"

namespace aibackend::usage {
namespace {

using storage::Value;

constexpr uint8_t kAlone = 1;  // a bit of a record's first byte

template <class Number>
void Put(Number number, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void PutText(const std::string& text, std::string& bytes) {
  Put(static_cast<uint32_t>(text.size()), bytes);
  bytes.append(text);
}

// A value is the number of its type and its bytes.
void PutValue(const Value& value, std::string& bytes) {
  Put(static_cast<uint8_t>(value.index()), bytes);
  if (const auto* integer = std::get_if<int64_t>(&value)) Put(*integer, bytes);
  if (const auto* real = std::get_if<double>(&value)) Put(*real, bytes);
  if (const auto* text = std::get_if<std::string>(&value)) PutText(*text, bytes);
  if (const auto* blob = std::get_if<storage::Blob>(&value)) PutText(blob->bytes, bytes);
}

class Reader {
 public:
  explicit Reader(absl::string_view bytes) : rest_(bytes) {}

  template <class Number>
  Number Get() {
    Number number{};
    const absl::string_view bytes = Take(sizeof number);
    if (ok_) std::memcpy(&number, bytes.data(), sizeof number);
    return number;
  }

  std::string GetText() {
    const auto size = Get<uint32_t>();
    return std::string(Take(size));
  }

  Value GetValue() {
    switch (Get<uint8_t>()) {
      case 0:
        return nullptr;
      case 1:
        return Get<int64_t>();
      case 2:
        return Get<double>();
      case 3:
        return GetText();
      case 4:
        return storage::Blob{GetText()};
      default:
        ok_ = false;
        return nullptr;
    }
  }

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  absl::string_view Take(size_t size) {
    ok_ = ok_ && size <= rest_.size();
    if (!ok_) return {};
    const absl::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace

std::string EncodeSpooledRow(absl::Span<const Value> parameters, bool alone) {
  std::string bytes;
  Put(alone ? kAlone : uint8_t{0}, bytes);
  Put(static_cast<uint8_t>(parameters.size()), bytes);
  for (const Value& value : parameters) PutValue(value, bytes);
  return bytes;
}

absl::optional<SpooledRow> DecodeSpooledRow(absl::string_view bytes) {
  Reader reader(bytes);
  SpooledRow row;
  row.alone = (reader.Get<uint8_t>() & kAlone) != 0;
  const size_t count = reader.Get<uint8_t>();
  while (reader.ok() && row.parameters.size() < count) row.parameters.push_back(reader.GetValue());
  if (!reader.ok() || !reader.at_end() || count == 0) return absl::nullopt;

  std::vector<Value> empty = UpsertParameters(RequestRow(), ContentPolicy::kOff, 0);
  if (count > empty.size()) return absl::nullopt;
  for (size_t i = 0; i < count; ++i) {
    if (row.parameters[i].index() != empty[i].index()) return absl::nullopt;
  }
  for (size_t i = count; i < empty.size(); ++i) row.parameters.push_back(std::move(empty[i]));
  return row;
}

}  // namespace aibackend::usage
