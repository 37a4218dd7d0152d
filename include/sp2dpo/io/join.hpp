// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::io {

/// Choices of join_schedule().
struct JoinOptions {
  PairReaderOptions pairs{};
  std::string schedule_name{};  ///< the schedule's name in each row
  bool overwrite = false;       ///< replaces columns of these names that a row already has
  bool all_entries = false;     ///< an entry of the schedule that no row uses is an error
};

/// Counts of what join_schedule() wrote and left over.
struct JoinCounts {
  std::int64_t written{};         ///< rows
  std::int64_t unused_entries{};  ///< entries of the schedule that no row used

  friend bool operator==(const JoinCounts&, const JoinCounts&) = default;
};

/// Writes the rows of a file of pairs with the columns `beta`, `sp2dpo` (gap, category, schedule)
/// and, if the schedule has weights, `weight` (docs/formats.md). Rows whose pair the schedule lacks
/// are left out. Throws DataError with file, line and field for a row that is invalid or already
/// has such a column, and for a file that cannot be read or written. A spooled schedule must have
/// its pairs in the order of the file: DataError names two pairs whose order differs.
JoinCounts join_schedule(RowsFrom pairs, const ScheduleView& schedule,
                         const std::filesystem::path& out, const JoinOptions& options = {});

}  // namespace sp2dpo::io
