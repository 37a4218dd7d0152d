// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "input/gold.hpp"
#include "parts/aggregators.hpp"
#include <args.hpp>

#include <sp2dpo/report/reliability.hpp>

namespace sp2dpo::tool {

/// Gaps no larger than this are ties: thirds that should add up to 0 do not quite.
inline constexpr double tie_below = 1e-12;

/// Options of what looks at all annotations before a schedule is made of them.
struct FitOptions {
  std::string gold;
  std::string calibration = "isotonic";
  std::string picture;

  void declare(args::Command app);
};

/// The aggregator made of the annotations and, where there is gold, calibrated: a gap then is
/// sign · (2p − 1), where p is how often verdicts of that strength are right.
[[nodiscard]] MadeAggregator make_aggregator(const ChosenAggregator& chosen,
                                             const FitOptions& options,
                                             const std::optional<Gold>& gold,
                                             const ScheduleBuilder& annotations);

/// The reliability before and after calibration; empty unless the aggregator was calibrated.
[[nodiscard]] std::vector<report::ReliabilitySeries> reliability_of(
    const io::PartDescription& aggregator);

}  // namespace sp2dpo::tool
