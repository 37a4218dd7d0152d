// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include <sp2dpo/io/join.hpp>
#include <sp2dpo/io/row_source.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {

/// Whether the file's name ends in `.parquet`. Throws UsageError where it does and this program was
/// built without Parquet.
[[nodiscard]] bool is_parquet(const std::filesystem::path& path);

/// From and to JSON Lines or Parquet, by the files' names.
[[nodiscard]] io::RowsFrom rows_of(const std::filesystem::path& path);
void save_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                   const io::ScheduleManifest& manifest,
                   const std::filesystem::path& manifest_file);
std::int64_t save_join(const std::filesystem::path& pairs, const ScheduleView& schedule,
                       const std::filesystem::path& out, const io::JoinOptions& options);

}  // namespace sp2dpo::tool
