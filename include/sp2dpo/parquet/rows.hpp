// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

/// The rows of a Parquet file, for every reader that takes RowsFrom. A batch of rows is held at a
/// time. A null is as a key that is not there. A schedule's manifest is a row before the first one.
/// Throws DataError where the file cannot be opened or is no Parquet file.
///
///     PairReader reader(parquet_rows("pairs.parquet"));
[[nodiscard]] std::unique_ptr<RowSource> parquet_rows(const std::filesystem::path& path);

}  // namespace sp2dpo::io
