// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include <sp2dpo/io/join.hpp>

namespace sp2dpo::io {

/// As join_schedule(), from a Parquet file to a Parquet file: the columns keep their types, and the
/// file keeps its metadata. Throws DataError where a column of these names is there already, unless
/// it may be replaced.
std::int64_t join_parquet_schedule(const std::filesystem::path& pairs, const ScheduleView& schedule,
                                   const std::filesystem::path& out,
                                   const JoinOptions& options = {});

}  // namespace sp2dpo::io
