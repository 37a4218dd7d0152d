// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <utility>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::io {

/// Returns the path. Throws InvalidArgument if its name ends in `.gz` or `.parquet`, which the
/// writers of this room do not produce.
inline std::filesystem::path plain_name(std::filesystem::path path) {
  detail::require(path.extension() != ".gz",
                  "{}: output is plain text; drop the .gz and run gzip afterwards", path.string());
  detail::require(path.extension() != ".parquet",
                  "{}: output is JSON Lines; only schedules and joined pairs can be Parquet "
                  "(sp2dpo::parquet)",
                  path.string());
  return path;
}

}  // namespace sp2dpo::io
