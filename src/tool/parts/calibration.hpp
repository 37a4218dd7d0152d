// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "input/gold.hpp"
#include "parts/aggregators.hpp"
#include <args.hpp>

#include <sp2dpo/report/reliability.hpp>
#include <sp2dpo/schedule/spooled_gaps.hpp>

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

/// Calibrates gaps by gold labels: a gap becomes sign · (2p − 1), where p is the share of correct
/// gaps of that size. `aggregator` made the gaps; its description, inputs and summary become those
/// of the calibration. Throws DataError if too few labelled pairs have a gap.
[[nodiscard]] SpooledGaps calibrated(const SpooledGaps& gaps, const FitOptions& options,
                                     const Gold& gold, NamedAggregator& aggregator);

/// The reliability before and after calibration; empty unless the aggregator was calibrated.
[[nodiscard]] std::vector<report::ReliabilitySeries> reliability_of(
    const io::PartDescription& aggregator);

}  // namespace sp2dpo::tool
