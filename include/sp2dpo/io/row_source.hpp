// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace sp2dpo::io {

/// Yields the rows of a file in order, each as the text of a JSON object. The reader that consumes
/// them checks their contents, the same for every file format.
class RowSource {
 public:
  /// Number of readable bytes after the end of a row.
  static constexpr std::size_t padding = 64;

  RowSource() = default;
  RowSource(const RowSource&) = delete;
  RowSource& operator=(const RowSource&) = delete;
  virtual ~RowSource() = default;

  /// Advances to the next row, which is valid until the next call; false at the end. Throws
  /// DataError if the file cannot be read to its end.
  virtual bool next(std::string_view& row) = 0;

  /// Name of the file for messages.
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  /// Number of the current row, or of its line in a text file, counted from 1.
  [[nodiscard]] virtual std::int64_t line() const noexcept = 0;
  /// Number of bytes of the file (compressed, if it is) read so far.
  [[nodiscard]] virtual std::int64_t bytes_read() const noexcept = 0;
  /// SHA-256 of the file's bytes in hex; empty before the end of the file.
  [[nodiscard]] virtual const std::string& sha256() const noexcept = 0;
  /// True if next() may block, as on a pipe. Other threads may read ahead from a source that
  /// returns false, one at a time.
  [[nodiscard]] virtual bool waits() const noexcept { return true; }
  /// The same rows from the beginning; null if they can be read only once.
  [[nodiscard]] virtual std::unique_ptr<RowSource> again() const = 0;
};

/// True for a row of white space, which readers skip.
[[nodiscard]] inline bool is_blank_row(std::string_view row) {
  return row.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// The lines of a file, decompressed if its name ends in `.gz`. Throws DataError if it cannot be
/// opened.
[[nodiscard]] std::unique_ptr<RowSource> json_lines(const std::filesystem::path& path);

/// Argument of the readers: the path of a JSON Lines file, or any other source of rows.
class RowsFrom {
 public:
  template <std::convertible_to<std::filesystem::path> Path>
  RowsFrom(Path&& path)  // NOLINT: a path is a source of rows
      : source_(json_lines(std::forward<Path>(path))) {}
  template <std::derived_from<RowSource> Source>
  RowsFrom(std::unique_ptr<Source> source)  // NOLINT: as above
      : source_(std::move(source)) {}

  /// Hands the source over.
  [[nodiscard]] std::unique_ptr<RowSource> take() && { return std::move(source_); }

 private:
  std::unique_ptr<RowSource> source_;
};

}  // namespace sp2dpo::io
