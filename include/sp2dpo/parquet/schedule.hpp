// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::io {

/// As write_schedule(), as Parquet: the same columns, and the manifest under the key
/// `sp2dpo.manifest` of the file's metadata, unless `manifest_file` takes it. What it writes is
/// read by read_schedule(parquet_rows(path)).
void write_parquet_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                            const ScheduleManifest& manifest,
                            const std::filesystem::path& manifest_file = {});

}  // namespace sp2dpo::io
