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

/// The entry's flag: `missing`, `clipped_low`, `clipped_high`, or an empty text.
[[nodiscard]] std::string_view flag_of(const ScheduleEntry& entry);

/// Writes the schedule as canonical JSON Lines: the manifest, then one line per pair in the
/// schedule's order. A non-empty `manifest_file` receives the manifest instead. Throws DataError if
/// a file cannot be written, InvalidArgument for a name that ends in `.gz` or `.parquet`.
void write_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                    const ScheduleManifest& manifest,
                    const std::filesystem::path& manifest_file = {});

/// The contents of a schedule file.
struct ScheduleFile {
  Schedule schedule;
  std::optional<ScheduleManifest> manifest;  ///< empty if the file lacks it
  std::string sha256{};                      ///< SHA-256 of the file's bytes in hex
};

/// Reads a schedule. `categories` are used if the file has no manifest. Throws DataError with file,
/// line and field.
[[nodiscard]] ScheduleFile read_schedule(RowsFrom rows, Categories categories = {});

}  // namespace sp2dpo::io
