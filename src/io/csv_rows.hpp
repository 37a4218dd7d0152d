// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "text/lines.hpp"

namespace sp2dpo::io {

/// Reads the rows of a CSV file (RFC 4180). The first row names the columns; every other row has as
/// many cells.
class CsvRows {
 public:
  /// Throws DataError if the file lacks a header or has duplicate column names.
  explicit CsvRows(const std::filesystem::path& path);

  /// Advances to the next row; false at the end. Throws DataError for a misplaced quote or a wrong
  /// number of cells.
  bool next();

  /// The index of a column. Throws DataError, listing the names, if the file lacks it.
  [[nodiscard]] std::size_t column(std::string_view name) const;
  [[nodiscard]] const std::string& cell(std::size_t column) const { return cells_[column]; }
  /// SHA-256 in hex; empty before the end of the file.
  [[nodiscard]] const std::string& sha256() const noexcept { return lines_.sha256(); }
  /// Throws DataError about a cell of the current row.
  [[noreturn]] void fail(std::size_t column, const std::string& message) const;
  [[noreturn]] void fail(const std::string& message) const;

 private:
  bool read();
  bool next_line();
  std::size_t read_quoted(std::string& cell, std::size_t at);

  text::Lines lines_;
  std::string_view line_;
  std::int64_t first_line_ = 0;  // line where the current row starts
  std::vector<std::string> header_;
  std::vector<std::string> cells_;
  std::size_t n_cells_ = 0;
};

}  // namespace sp2dpo::io
