// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sp2dpo::io {

class CsvRows;

/// Reads a CSV file (RFC 4180) row by row; its first row names the columns. Errors in the file
/// throw DataError with file, line and column. Not thread-safe.
///
///     CsvReader rows("ratings.csv");
///     const auto value = rows.column("value");
///     while (rows.next()) use(rows.number(value));
class CsvReader {
 public:
  /// Throws for a file that cannot be opened, lacks a header, or has duplicate column names.
  explicit CsvReader(const std::filesystem::path& path);
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;
  ~CsvReader();

  /// Advances to the next row; false at the end. Throws if its number of cells differs from the
  /// header's.
  bool next();

  /// The index of a column. Throws, listing the names, if the file lacks it.
  [[nodiscard]] std::size_t column(std::string_view name) const;
  /// The text of a cell of this row.
  [[nodiscard]] const std::string& cell(std::size_t column) const;
  /// The cell as a number; empty for a blank cell. Throws for text that is not a finite number.
  [[nodiscard]] std::optional<double> number(std::size_t column) const;

  /// SHA-256 of the file's bytes in hex; empty before the end of the file.
  [[nodiscard]] const std::string& sha256() const noexcept;

  /// Throws DataError about a cell of the current row.
  [[noreturn]] void fail(std::size_t column, const std::string& message) const;

 private:
  std::unique_ptr<CsvRows> rows_;
};

}  // namespace sp2dpo::io
