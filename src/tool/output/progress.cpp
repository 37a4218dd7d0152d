// SPDX-License-Identifier: Apache-2.0
#include "output/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <system_error>

#include <fmt/format.h>
#include <terminal.hpp>
#include <unistd.h>

namespace sp2dpo::tool {

namespace {

using namespace std::chrono_literals;

}  // namespace

Progress::Progress(const io::RowReader& reader)
    : reader_(reader),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(Clock::now() + (terminal_ ? 300ms : 5000ms)) {
  std::error_code unknown;
  size_ = std::filesystem::file_size(reader.path(), unknown);
  if (unknown) size_ = 0;
}

Progress::~Progress() {
  if (terminal_ && shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::show() {
  const auto now = Clock::now();
  if (now < next_ || args::is_quiet()) return;
  next_ = now + (terminal_ ? 100ms : 5000ms);
  shown_ = true;
  const double share =
      size_ == 0
          ? 0
          : std::min(1.0, static_cast<double>(reader_.bytes_read()) / static_cast<double>(size_));
  const auto percent = size_ == 0 ? std::string() : fmt::format(", {:.0f} %", 100 * share);
  const auto name = reader_.path().filename().string();
  if (terminal_) {
    constexpr int width = 30;
    fmt::print(stderr, "\r{} [{:<{}}] {} rows{}\x1b[K", name,
               std::string(static_cast<std::size_t>(share * width), '#'), width, rows_, percent);
    std::fflush(stderr);
  } else {
    fmt::print(stderr, "{}: {} rows{}\n", name, rows_, percent);
  }
}

}  // namespace sp2dpo::tool
