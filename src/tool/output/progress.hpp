// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include <sp2dpo/io/row_reader.hpp>

namespace sp2dpo::tool {

/// Shows on stderr how much of a file was read: a bar on a terminal, a line every few seconds
/// elsewhere, nothing if reading is fast.
class Progress {
 public:
  explicit Progress(const io::RowReader& reader);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Erases the bar.
  ~Progress();

  /// Call it after every row.
  void row() {
    if (++rows_ % 4096 == 0) show();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void show();

  const io::RowReader& reader_;
  std::uintmax_t size_ = 0;  // 0 if unknown
  bool terminal_;
  bool shown_ = false;
  std::int64_t rows_ = 0;
  Clock::time_point next_;
};

}  // namespace sp2dpo::tool
