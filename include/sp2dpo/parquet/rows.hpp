// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

/// Opens a Parquet file as rows for any reader that takes RowsFrom. Holds one batch of rows at a
/// time. A null counts as a missing key. The manifest of a schedule comes first, as a row. Throws
/// DataError if the file cannot be opened or is not a Parquet file.
///
///     PairReader reader(parquet_rows("pairs.parquet"));
[[nodiscard]] std::unique_ptr<RowSource> parquet_rows(const std::filesystem::path& path);

}  // namespace sp2dpo::io
