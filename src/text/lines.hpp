// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/hashed_file.hpp"

namespace sp2dpo::text {

/// Reads the lines of a text file, decompressing it if its name ends in `.gz`. Copies only lines
/// that cross the end of a block.
class Lines {
 public:
  /// Throws DataError if the file cannot be opened.
  explicit Lines(const std::filesystem::path& path);
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines();

  /// Advances to the next line, without its line feed, valid until the next call with `padding`
  /// readable bytes after it; false at the end.
  bool next(std::string_view& line);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::int64_t line() const noexcept { return line_; }
  [[nodiscard]] std::int64_t bytes_read() const noexcept { return bytes_read_; }
  [[nodiscard]] const std::string& sha256() const noexcept { return file_.sha256(); }
  [[nodiscard]] bool regular() const noexcept { return file_.regular(); }

 private:
  struct Inflater;

  [[noreturn]] void fail(const std::string& message) const;
  std::string_view read_file();  // empty at the end
  std::string_view read_text();  // empty at the end

  std::string name_;
  HashedFile file_;
  std::unique_ptr<Inflater> inflater_;
  std::string_view text_;        // rest of the current block
  std::vector<char> straddler_;  // a line that began in an earlier block
  bool at_end_ = false;
  std::int64_t line_ = 0;
  std::int64_t bytes_read_ = 0;
};

}  // namespace sp2dpo::text
