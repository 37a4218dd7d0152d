// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

#include <sp2dpo/annotate/run.hpp>

namespace sp2dpo::tool {

/// How far a panel's run has come, on stderr: a line that changes on a terminal, a new one every
/// ten seconds elsewhere.
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
  bool told_ = false;  // that the run is being stopped
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_;
};

}  // namespace sp2dpo::tool
