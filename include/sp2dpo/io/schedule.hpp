// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sp2dpo/io/manifest.hpp>
#include <sp2dpo/io/row_source.hpp>
#include <sp2dpo/schedule/schedule.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::io {

/// What stands among an entry's flags: `missing`, `clipped_low`, `clipped_high`, or nothing.
[[nodiscard]] std::string_view flag_of(const ScheduleEntry& entry);

/// Writes the schedule as canonical JSON Lines, one line per pair in the schedule's order, after a
/// first line with the manifest; `manifest_file` takes the manifest instead where it is not empty.
/// Throws DataError where a file cannot be written, InvalidArgument for a name that ends in `.gz`
/// or `.parquet`.
void write_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                    const ScheduleManifest& manifest,
                    const std::filesystem::path& manifest_file = {});

struct ScheduleFile {
  Schedule schedule;
  std::optional<ScheduleManifest> manifest;  ///< empty where it lies in a file of its own
  std::string sha256{};                      ///< of the file's bytes, hex
};

/// Throws DataError with file, line and field. `categories` serve where the file has no manifest.
[[nodiscard]] ScheduleFile read_schedule(RowsFrom rows, Categories categories = {});

}  // namespace sp2dpo::io
