// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <sp2dpo/annotate/run.hpp>

namespace sp2dpo::tool {

/// Shows the progress of a run on stderr: one changing line on a terminal, never wider than it, and
/// a line a minute elsewhere. The first failure of each judge gets a line of its own at once.
class PanelProgress {
 public:
  explicit PanelProgress(std::optional<double> max_cost);
  PanelProgress(const PanelProgress&) = delete;
  PanelProgress& operator=(const PanelProgress&) = delete;
  ~PanelProgress();

  void show(const annotate::PanelProgress& now);

 private:
  using Clock = std::chrono::steady_clock;

  void say(std::string_view line);

  std::optional<double> max_cost_;
  bool terminal_;
  bool shown_ = false;
  bool told_stopping_ = false;
  bool told_unusable_ = false;
  std::set<std::string> told_;  // judges whose first failure was shown
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_;
};

/// The changing line: a bar and the figures of `now` after `seconds`, at most `width` columns.
[[nodiscard]] std::string progress_line(const annotate::PanelProgress& now,
                                        std::optional<double> max_cost, double seconds,
                                        std::size_t width);

/// Returns the beginning of a text that takes at most `width` columns on a terminal. Control
/// characters become question marks.
[[nodiscard]] std::string cut_to_width(std::string_view text, std::size_t width);

}  // namespace sp2dpo::tool
