// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <sp2dpo/io/join.hpp>
#include <sp2dpo/io/row_source.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {

/// True if the file's name ends in `.parquet`. Throws UsageError in that case if this program was
/// built without Parquet.
[[nodiscard]] bool is_parquet(const std::filesystem::path& path);

/// Returns how a manifest or a card names a file: without its folders, which may hold the name of a
/// user, or as typed if `full` (`--full-paths`).
[[nodiscard]] std::string recorded_name(const std::filesystem::path& path, bool full);

/// Read and write JSON Lines or Parquet, depending on the file's name.
[[nodiscard]] io::RowsFrom rows_of(const std::filesystem::path& path);
void save_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                   const io::ScheduleManifest& manifest,
                   const std::filesystem::path& manifest_file);
io::JoinCounts save_join(const std::filesystem::path& pairs, const ScheduleView& schedule,
                         const std::filesystem::path& out, const io::JoinOptions& options);

}  // namespace sp2dpo::tool
