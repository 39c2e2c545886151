// Finds the slots whose document's metadata fit a filter.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "server/retrieval/metadata_fields.h"
#include "server/retrieval/metadata_filter.h"
#include "server/retrieval/row_set.h"
#include "server/retrieval/term_field.h"

namespace aibackend::retrieval {

// For each field its values in order, each with the slots that have it: equality is a lookup, a
// range a walk over the values in it. Exact: what Select() gives is what a scan of all metadata
// would.
//
// Slots of one document stand side by side and are held as runs, so that a document costs its
// values (some 100 bytes for one that no other document has), however many chunks it is cut into.
// What is removed is found no more at once, and gives its memory back when more of a value's slots
// are gone than there.
//
// Not thread-safe; const methods may run side by side.
class MetadataIndex {
 public:
  // Slots are added in ascending order, each once. `fields` are the document's (FlattenMetadata).
  void Add(Slot slot, const MetadataFields& fields);
  // `fields` are those that it was added with.
  void Remove(Slot slot, const MetadataFields& fields);

  // The slots that are there and fit every condition. Where there is no slot, none fits and that is
  // no error. Errors: FILTER_FIELD_UNKNOWN, where no document has the field of a condition, for
  // "<filter.name>.<field>"; but `exists` may ask for any field, as that is its question.
  absl::StatusOr<RowSet> Select(const MetadataFilter& filter) const;

 private:
  // A set of slots as runs, in ascending order. May hold removed slots too.
  struct Postings {
    struct Run {
      Slot first = 0;
      uint32_t count = 0;
    };
    absl::InlinedVector<Run, 2> runs;
    uint32_t live = 0;
    uint32_t dead = 0;

    void Add(Slot slot);
    // Counts one slot out; `present` no longer has it.
    void Remove(const RowSet& present);
    void AppendTo(RowSet& rows) const;
  };
  struct Field {
    Postings present;  // the slots that have it, with whatever value
    absl::btree_map<MetadataValue, Postings> values;
  };

  static void AppendRange(const Field& field, const MetadataFilter::Condition& condition,
                          RowSet& rows);
  static RowSet RowsOf(const Field& field, const MetadataFilter::Condition& condition);
  absl::Status UnknownField(const MetadataFilter& filter, const std::string& field) const;

  absl::btree_map<std::string, Field> fields_;
  RowSet present_;
};

}  // namespace aibackend::retrieval
