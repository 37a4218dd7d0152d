// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::io {

/// Writes a schedule as Parquet, with the columns of write_schedule(). The manifest goes to the
/// file's metadata, under the key `sp2dpo.manifest`, or to `manifest_file` if that is not empty.
/// Read the result with read_schedule(parquet_rows(path)).
void write_parquet_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                            const ScheduleManifest& manifest,
                            const std::filesystem::path& manifest_file = {});

}  // namespace sp2dpo::io
