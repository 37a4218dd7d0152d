// SPDX-License-Identifier: Apache-2.0
#include "progress.hpp"

#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace quickstart {

Progress::Progress(std::string what, std::int64_t total)
    : what_(std::move(what)), total_(total), terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (terminal_ && done_ > 0) fmt::print(stderr, "\n");
}

void Progress::advance(const std::string& note) {
  const std::lock_guard lock(mutex_);
  const auto tenth = [&] { return 10 * done_ / total_; };
  const auto before = tenth();
  ++done_;
  if (!note.empty()) note_ = note;
  if (terminal_ || tenth() > before) show();
}

void Progress::show() const {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double left = seconds / static_cast<double>(done_) * static_cast<double>(total_ - done_);
  const std::string end = fmt::format("{:>3}%  {:.0f} s, {:.0f} s to go  {}", 100 * done_ / total_,
                                      seconds, left, note_);
  if (!terminal_) {
    fmt::print(stderr, "{}: {}\n", what_, end);
    return;
  }
  constexpr std::int64_t width = 24;
  const auto full = static_cast<std::size_t>(width * done_ / total_);
  fmt::print(stderr, "\r{:<20} [{}{}] {}\x1b[K", what_, std::string(full, '#'),
             std::string(width - full, '.'), end);
}

}  // namespace quickstart
