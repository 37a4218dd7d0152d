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

/// What the readers of rows have in common. One row is held at a time. Blank lines are passed over.
/// A file without a single good row is an error, and so is one that cannot be read to its end,
/// lenient or not.
class RowReader {
 public:
  RowReader(const RowReader&) = delete;
  RowReader& operator=(const RowReader&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Of the row that was read last, as its source counts: from 1.
  [[nodiscard]] std::int64_t line() const noexcept { return line_; }
  /// Rows that were handed out and not refused.
  [[nodiscard]] std::int64_t rows() const noexcept { return rows_; }
  /// Of the file as it lies on the disk, for a sign of progress.
  [[nodiscard]] std::int64_t bytes_read() const noexcept { return bytes_read_; }
  /// SHA-256 of the file's bytes in hex. Throws InvalidArgument before the end of the file.
  [[nodiscard]] std::string sha256() const;

  /// Refuses the row that was read last, for a reason that only the caller can see: throws
  /// DataError with its file and line, or, where the reader is lenient, skips the row.
  void refuse(const std::string& field, const std::string& reason);

  /// How many rows a lenient reader left out.
  [[nodiscard]] std::int64_t n_skipped() const noexcept { return n_skipped_; }
  /// The first max_listed of them.
  [[nodiscard]] const std::vector<DataError>& skipped() const noexcept { return skipped_; }
  static constexpr std::size_t max_listed = 1000;

 protected:
  /// Throws InvalidArgument where there is no source.
  RowReader(RowsFrom rows, bool lenient);
  ~RowReader();

  /// Goes on to the next row for which `parse` returns true; false at the end of the file. `parse`
  /// returns false for a row to pass over in silence, and throws DataError for a bad one.
  bool next_row(const std::function<bool()>& parse);
  /// The same where something else goes on to the rows: advance() is false behind the last of them,
  /// and before that calls at().
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
  /// Where the row that advance() went on to lies, and how much of the file was read for it.
  void at(std::int64_t line, std::int64_t bytes_read) noexcept {
    line_ = line;
    bytes_read_ = bytes_read;
  }

  [[nodiscard]] JsonRows& json() noexcept { return *json_; }
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
