// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <utility>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::io {

/// The path, unless its name promises a compressed or a Parquet file, which no writer here makes.
inline std::filesystem::path plain_name(std::filesystem::path path) {
  detail::require(path.extension() != ".gz",
                  "{}: is written as plain text; leave the .gz away, and run gzip on it afterwards",
                  path.string());
  detail::require(path.extension() != ".parquet",
                  "{}: is written as JSON Lines; only a schedule and its join can be Parquet, by "
                  "sp2dpo::parquet",
                  path.string());
  return path;
}

}  // namespace sp2dpo::io
