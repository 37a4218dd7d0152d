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

/// The lines of a text file, plain or (by its name) gzip. Only a line that goes over the end of a
/// block is copied.
class Lines {
 public:
  /// Throws DataError where the file cannot be opened.
  explicit Lines(const std::filesystem::path& path);
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines();

  /// The next line without its line feed; it lives until the next call. False at the end.
  bool next(std::string_view& line);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::int64_t line() const noexcept { return line_; }
  [[nodiscard]] std::int64_t bytes_read() const noexcept { return bytes_read_; }
  [[nodiscard]] const std::string& sha256() const noexcept { return file_.sha256(); }
  [[nodiscard]] bool regular() const noexcept { return file_.regular(); }

 private:
  struct Inflater;

  [[noreturn]] void fail(const std::string& message) const;
  std::string_view read_file();  // empty: the end
  std::string_view read_text();  // empty: the end

  std::string name_;
  HashedFile file_;
  std::unique_ptr<Inflater> inflater_;
  std::string_view text_;        // what is left of the latest block
  std::vector<char> straddler_;  // the line that began in a block before it
  bool at_end_ = false;
  std::int64_t line_ = 0;
  std::int64_t bytes_read_ = 0;
};

}  // namespace sp2dpo::text
