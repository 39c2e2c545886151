#include "server/retrieval/metadata_index.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"

namespace aibackend::retrieval {
namespace {

using Operator = MetadataFilter::Operator;

constexpr size_t kKnownFieldsMax = 10;       // that an error lists
constexpr size_t kNameInErrorBytesMax = 64;  // a name may have any length
constexpr uint32_t kDeadMin = 16;            // below that a compaction frees nothing to speak of

// The least value of the kind: where the walk of "less than" begins.
MetadataValue LeastLike(const MetadataValue& value) {
  if (std::holds_alternative<std::string>(value)) return std::string();
  return -std::numeric_limits<double>::infinity();
}

}  // namespace

void MetadataIndex::Postings::Add(Slot slot) {
  if (!runs.empty() && runs.back().first + runs.back().count == slot) {
    ++runs.back().count;
  } else {
    runs.push_back({slot, 1});
  }
  ++live;
}

// Each removal pays for a constant part of the next compaction, which walks twice as many slots as
// were removed since the last.
void MetadataIndex::Postings::Remove(const RowSet& present) {
  --live;
  ++dead;
  if (dead <= live || dead < kDeadMin) return;
  Postings compact;
  for (const Run& run : runs) {
    for (Slot slot = run.first; slot < run.first + run.count; ++slot) {
      if (present.Contains(slot)) compact.Add(slot);
    }
  }
  *this = std::move(compact);
}

void MetadataIndex::Postings::AppendTo(RowSet& rows) const {
  for (const Run& run : runs) rows.AddRange(run.first, run.count);
}

void MetadataIndex::Add(Slot slot, const MetadataFields& fields) {
  present_.Add(slot);
  Field* field = nullptr;
  const std::string* path = nullptr;
  for (const MetadataField& entry : fields) {
    if (path == nullptr || *path != entry.path) {
      path = &entry.path;
      field = &fields_[*path];
      field->present.Add(slot);
    }
    if (entry.value) field->values[*entry.value].Add(slot);
  }
}

void MetadataIndex::Remove(Slot slot, const MetadataFields& fields) {
  present_.Remove(slot);
  for (size_t i = 0; i < fields.size();) {
    const std::string& path = fields[i].path;
    const auto field = fields_.find(path);
    for (; i < fields.size() && fields[i].path == path; ++i) {
      if (!fields[i].value) continue;
      const auto value = field->second.values.find(*fields[i].value);
      value->second.Remove(present_);
      if (value->second.live == 0) field->second.values.erase(value);
    }
    field->second.present.Remove(present_);
    if (field->second.present.live == 0) fields_.erase(field);
  }
}

void MetadataIndex::AppendRange(const Field& field, const MetadataFilter::Condition& condition,
                                RowSet& rows) {
  const MetadataValue& bound = condition.values.front();
  const auto& values = field.values;
  auto next = values.end();
  auto end = values.end();
  switch (condition.op) {
    case Operator::kLess:
    case Operator::kLessOrEqual:
      next = values.lower_bound(LeastLike(bound));
      end = condition.op == Operator::kLess ? values.lower_bound(bound) : values.upper_bound(bound);
      break;
    case Operator::kGreater:
      next = values.upper_bound(bound);
      break;
    default:
      next = values.lower_bound(bound);
  }
  for (; next != end && next->first.index() == bound.index(); ++next) next->second.AppendTo(rows);
}

RowSet MetadataIndex::RowsOf(const Field& field, const MetadataFilter::Condition& condition) {
  RowSet rows;
  switch (condition.op) {
    case Operator::kExists:
      field.present.AppendTo(rows);
      break;
    case Operator::kEqual:
    case Operator::kIn:
      for (const MetadataValue& value : condition.values) {
        const auto found = field.values.find(value);
        if (found != field.values.end()) found->second.AppendTo(rows);
      }
      break;
    default:
      AppendRange(field, condition, rows);
  }
  return rows;
}

absl::StatusOr<RowSet> MetadataIndex::Select(const MetadataFilter& filter) const {
  RowSet selected = present_;
  if (selected.empty()) return selected;
  for (const MetadataFilter::Condition& condition : filter.conditions) {
    const auto field = fields_.find(condition.field);
    const bool exists = condition.op == Operator::kExists;
    if (field == fields_.end() && !exists) return UnknownField(filter, condition.field);
    const RowSet rows = field == fields_.end() ? RowSet() : RowsOf(field->second, condition);
    if (exists && !std::get<bool>(condition.values.front())) {
      selected.AndNot(rows);
    } else {
      selected.And(rows);
    }
  }
  return selected;
}

absl::Status MetadataIndex::UnknownField(const MetadataFilter& filter,
                                         const std::string& field) const {
  const auto shown = [](const std::string& name) { return Utf8Prefix(name, kNameInErrorBytesMax); };
  std::string known;
  size_t count = 0;
  for (const auto& [name, unused] : fields_) {
    if (count++ == kKnownFieldsMax) break;
    absl::StrAppend(&known, known.empty() ? "" : ", ", shown(name));
  }
  if (fields_.size() > kKnownFieldsMax) {
    absl::StrAppend(&known, " and ", fields_.size() - kKnownFieldsMax, " more");
  }
  return MakeError(
      Reason::FILTER_FIELD_UNKNOWN,
      absl::StrCat("no document of the collection has the field; ",
                   known.empty() ? "none has metadata" : absl::StrCat("known: ", known)),
      absl::StrCat(filter.name, ".", shown(field)));
}

}  // namespace aibackend::retrieval
