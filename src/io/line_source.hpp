// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "text/lines.hpp"

#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

/// The lines of a text file as rows.
class LineSource final : public RowSource {
 public:
  /// Throws DataError where the file cannot be opened.
  explicit LineSource(const std::filesystem::path& path) : lines_(path) {}

  bool next(std::string_view& row) override { return lines_.next(row); }

  [[nodiscard]] const std::string& name() const noexcept override { return lines_.name(); }
  [[nodiscard]] std::int64_t line() const noexcept override { return lines_.line(); }
  [[nodiscard]] std::int64_t bytes_read() const noexcept override { return lines_.bytes_read(); }
  [[nodiscard]] const std::string& sha256() const noexcept override { return lines_.sha256(); }
  [[nodiscard]] bool waits() const noexcept override { return !lines_.regular(); }
  [[nodiscard]] std::unique_ptr<RowSource> again() const override;

 private:
  text::Lines lines_;
};

}  // namespace sp2dpo::io
