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

/// Gaps up to this size count as ties, because sums of thirds round to nearly 0.
inline constexpr double tie_below = 1e-12;

/// Options of calibration.
struct FitOptions {
  std::string gold;
  std::string calibration = "isotonic";
  std::string picture;

  void declare(args::Command app);
};

/// Builds the aggregator from the annotations and, if gold labels are given, calibrates it: a gap
/// is then sign · (2p − 1), where p is the share of correct gaps of that size.
[[nodiscard]] MadeAggregator make_aggregator(const ChosenAggregator& chosen,
                                             const FitOptions& options,
                                             const std::optional<Gold>& gold,
                                             const VoteTable& annotations);

/// The reliability before and after calibration; empty unless the aggregator was calibrated.
[[nodiscard]] std::vector<report::ReliabilitySeries> reliability_of(
    const io::PartDescription& aggregator);

}  // namespace sp2dpo::tool
