// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::io {

/// Finds the entries of a schedule for the rows of a file of pairs, as the joins do. A schedule in
/// memory is found by id, in any order. A spooled schedule must have its pairs in the order of the
/// file, but may lack some of them. Not safe for use by several threads.
class EntryMatcher {
 public:
  /// The matcher keeps references to its arguments.
  EntryMatcher(const ScheduleView& schedule, const PairReader& rows);

  /// Returns the entry of the pair that `rows` returned last, valid until the next call, or null if
  /// the schedule lacks the pair. Throws DataError that names both pairs if a spooled schedule has
  /// two pairs in another order than the file.
  const ScheduleEntry* find(const std::string& id);

  /// Returns how many entries no row used. Call it after the last row. Throws DataError as find()
  /// does, and, with `all_entries`, if an entry was not used.
  std::int64_t finish(bool all_entries);

 private:
  void load(const std::string& id);
  [[nodiscard]] bool was_read(const std::string& id) const;
  [[noreturn]] void fail(const std::string& message) const;

  ScheduleView schedule_;
  const PairReader& rows_;
  std::int64_t n_found_ = 0;
  std::optional<SpooledSchedule::Cursor> cursor_;  // of a spooled schedule
  ScheduleEntry entry_;                            // the cursor's entry,
  bool loaded_ = false;                            // if this says so
  std::string previous_;                           // id of the entry before it
};

}  // namespace sp2dpo::io
