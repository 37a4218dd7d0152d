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

/// The lines of a text file, plain or (by its name) gzip. Only a line that goes over the end of a
/// block is copied.
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
  [[nodiscard]] bool waits() const noexcept override { return !file_.regular(); }
  [[nodiscard]] std::unique_ptr<RowSource> again() const override;

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

}  // namespace sp2dpo::io
