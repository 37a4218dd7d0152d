// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

class JsonRows;

/// Base of the readers: holds one row at a time, skips blank lines, counts and lists bad rows. A
/// file without a valid row is an error, and so is one that cannot be read to its end, lenient or
/// not.
class RowReader {
 public:
  RowReader(const RowReader&) = delete;
  RowReader& operator=(const RowReader&) = delete;

  /// The file, as it was named.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Line of the last row, counted from 1 by its source.
  [[nodiscard]] std::int64_t line() const noexcept { return line_; }
  /// Number of rows returned and not refused.
  [[nodiscard]] std::int64_t rows() const noexcept { return rows_; }
  /// Number of bytes of the file (compressed, if it is) read so far.
  [[nodiscard]] std::int64_t bytes_read() const noexcept { return bytes_read_; }
  /// SHA-256 of the file's bytes in hex. Throws InvalidArgument before the end of the file.
  [[nodiscard]] std::string sha256() const;

  /// Refuses the last row for a reason that only the caller knows: throws DataError with its file
  /// and line, or skips the row if the reader is lenient.
  void refuse(const std::string& field, const std::string& reason);

  /// Number of rows that a lenient reader left out.
  [[nodiscard]] std::int64_t n_skipped() const noexcept { return n_skipped_; }
  /// The errors of the first max_listed of them.
  [[nodiscard]] const std::vector<DataError>& skipped() const noexcept { return skipped_; }
  static constexpr std::size_t max_listed = 1000;

 protected:
  /// Throws InvalidArgument if the source is null.
  RowReader(RowsFrom rows, bool lenient);
  ~RowReader();

  /// Advances to the next row for which `parse` returns true; false at the end of the file. `parse`
  /// returns false for a row to skip silently and throws DataError for a bad one.
  bool next_row(const std::function<bool()>& parse);
  /// Overload for rows that the caller advances: advance() calls at() and returns true, or returns
  /// false after the last row.
  template <class Advance, class Parse>
  bool next_row(const Advance& advance, const Parse& parse) {
    while (advance()) {
      try {
        if (!parse()) continue;
        ++rows_;
        return true;
      } catch (const DataError& error) {
        skip(error);
      }
    }
    require_rows();
    return false;
  }
  /// Sets the position of the row that advance() moved to.
  void at(std::int64_t line, std::int64_t bytes_read) noexcept {
    line_ = line;
    bytes_read_ = bytes_read;
  }

  /// The parser of the present row.
  [[nodiscard]] JsonRows& json() noexcept { return *json_; }
  /// The source of the rows.
  [[nodiscard]] RowSource& source() const noexcept;

 private:
  void skip(const DataError& error);
  void require_rows() const;

  bool lenient_;
  std::unique_ptr<JsonRows> json_;
  std::filesystem::path path_;
  std::int64_t line_ = 0;
  std::int64_t bytes_read_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t n_skipped_ = 0;
  std::vector<DataError> skipped_;
};

}  // namespace sp2dpo::io
