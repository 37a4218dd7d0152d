// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include <sp2dpo/io/join.hpp>

namespace sp2dpo::io {

/// Joins a schedule to a Parquet file of pairs and writes a Parquet file, like join_schedule().
/// Columns keep their types and the file keeps its metadata. Throws DataError if a column to be
/// added already exists, unless `options.overwrite` is set.
JoinCounts join_parquet_schedule(const std::filesystem::path& pairs, const ScheduleView& schedule,
                                 const std::filesystem::path& out, const JoinOptions& options = {});

}  // namespace sp2dpo::io
