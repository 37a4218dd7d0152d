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

/// The rows of a file, each as a JSON object in text, from the first to the last. What a row must
/// say is checked by the reader that takes them, the same for every kind of file.
class RowSource {
 public:
  /// What may be read behind a row's end.
  static constexpr std::size_t padding = 64;

  RowSource() = default;
  RowSource(const RowSource&) = delete;
  RowSource& operator=(const RowSource&) = delete;
  virtual ~RowSource() = default;

  /// Goes on to the next row, which lives until the next call; false at the end. Throws DataError
  /// for a file that cannot be read to its end.
  virtual bool next(std::string_view& row) = 0;

  /// The file's, for messages.
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  /// The number of the current row, counted from 1; in a file of lines, of the line.
  [[nodiscard]] virtual std::int64_t line() const noexcept = 0;
  /// Of the file as it lies on the disk.
  [[nodiscard]] virtual std::int64_t bytes_read() const noexcept = 0;
  /// SHA-256 of the file's bytes in hex; empty before the end of the file.
  [[nodiscard]] virtual const std::string& sha256() const noexcept = 0;
  /// Whether next() may wait for what is yet to be written, as of a pipe. A source that says no may
  /// be read ahead by other threads, one at a time.
  [[nodiscard]] virtual bool waits() const noexcept { return true; }
  /// The same rows from the beginning; null where they come only once.
  [[nodiscard]] virtual std::unique_ptr<RowSource> again() const = 0;
};

/// Whether a row holds nothing; readers pass over such rows.
[[nodiscard]] inline bool is_blank_row(std::string_view row) {
  return row.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// The lines of a file, gzip where its name ends in `.gz`. Throws DataError where it cannot be
/// opened.
[[nodiscard]] std::unique_ptr<RowSource> json_lines(const std::filesystem::path& path);

/// What a reader takes: the path of a file of JSON Lines, or any other source of rows.
class RowsFrom {
 public:
  template <std::convertible_to<std::filesystem::path> Path>
  RowsFrom(Path&& path)  // NOLINT: a path is a source of rows
      : source_(json_lines(std::forward<Path>(path))) {}
  template <std::derived_from<RowSource> Source>
  RowsFrom(std::unique_ptr<Source> source)  // NOLINT: as above
      : source_(std::move(source)) {}

  [[nodiscard]] std::unique_ptr<RowSource> take() && { return std::move(source_); }

 private:
  std::unique_ptr<RowSource> source_;
};

}  // namespace sp2dpo::io
