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

#include "hashed_file.hpp"

#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

/// The lines of a text file, plain or (by its name) gzip. One buffer, which grows with the longest.
class LineSource final : public RowSource {
 public:
  /// Throws DataError where the file cannot be opened.
  explicit LineSource(const std::filesystem::path& path);
  ~LineSource() override;

  /// The next line without its line feed; it lives until the next call. False at the end.
  bool next(std::string_view& line) override;

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t line() const noexcept override { return line_; }
  [[nodiscard]] std::int64_t bytes_read() const noexcept override { return bytes_read_; }
  [[nodiscard]] const std::string& sha256() const noexcept override { return file_.sha256(); }
  [[nodiscard]] std::unique_ptr<RowSource> again() const override;

 private:
  struct Inflater;

  [[noreturn]] void fail(const std::string& message) const;
  std::size_t read_file(char* to, std::size_t size);  // 0: the end
  std::size_t read_text(char* to, std::size_t size);  // 0: the end
  void fill();

  std::string name_;
  HashedFile file_;
  std::unique_ptr<Inflater> inflater_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // of the line to come
  std::size_t end_ = 0;    // of what was read
  bool at_end_ = false;
  std::int64_t line_ = 0;
  std::int64_t bytes_read_ = 0;
};

}  // namespace sp2dpo::io
