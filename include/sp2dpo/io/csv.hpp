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

/// Reads a CSV file after RFC 4180 row by row; its first row names the columns. What is wrong with
/// the file throws DataError with file, line and column.
///
///     CsvReader rows("ratings.csv");
///     const auto value = rows.column("value");
///     while (rows.next()) use(rows.number(value));
class CsvReader {
 public:
  /// Throws for a file that cannot be opened, has no header, or names a column twice.
  explicit CsvReader(const std::filesystem::path& path);
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;
  ~CsvReader();

  /// False at the end. Throws for a row with another number of cells than the header.
  bool next();

  /// The number of a column. Throws with the names there are.
  [[nodiscard]] std::size_t column(std::string_view name) const;
  [[nodiscard]] const std::string& cell(std::size_t column) const;
  /// Empty for a blank cell. Throws for one that is no finite number.
  [[nodiscard]] std::optional<double> number(std::size_t column) const;

  /// SHA-256 of the file's bytes, hex; empty before the end of the file.
  [[nodiscard]] const std::string& sha256() const noexcept;

  /// Throws about a cell of the current row.
  [[noreturn]] void fail(std::size_t column, const std::string& message) const;

 private:
  std::unique_ptr<CsvRows> rows_;
};

}  // namespace sp2dpo::io
