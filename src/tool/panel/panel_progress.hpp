// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

#include <sp2dpo/annotate/run.hpp>

namespace sp2dpo::tool {

/// Shows the progress of a run on stderr: one changing line on a terminal, a new line every ten
/// seconds elsewhere.
class PanelProgress {
 public:
  explicit PanelProgress(std::optional<double> max_cost);
  PanelProgress(const PanelProgress&) = delete;
  PanelProgress& operator=(const PanelProgress&) = delete;
  ~PanelProgress();

  void show(const annotate::PanelProgress& now);

 private:
  using Clock = std::chrono::steady_clock;

  std::optional<double> max_cost_;
  bool terminal_;
  bool shown_ = false;
  bool told_ = false;  // the user, that the run is being stopped
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_;
};

}  // namespace sp2dpo::tool
