// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::io {

struct JoinOptions {
  PairReaderOptions pairs{};
  std::string schedule_name{};  ///< what each row is to name as its schedule
  bool overwrite = false;       ///< replaces columns of these names that a row has already
};

/// Writes the rows of a pairs file with `beta`, `sp2dpo` (gap, category, schedule) and, where the
/// schedule has weights, `weight` added (docs/formats.md). Rows whose pair the schedule lacks are
/// left out. Returns how many were written. Throws DataError with file, line and field for a row
/// that is wrong or has such a column already, and where a file cannot be read or written. Of a
/// SpooledSchedule, the pairs must come in the order of the file.
std::int64_t join_schedule(RowsFrom pairs, const ScheduleView& schedule,
                           const std::filesystem::path& out, const JoinOptions& options = {});

}  // namespace sp2dpo::io
