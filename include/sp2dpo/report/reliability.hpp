// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include <sp2dpo/stats/calibration.hpp>

namespace sp2dpo::report {

/// The reliability bins of one measure of confidence.
struct ReliabilitySeries {
  std::string name;
  std::vector<stats::ReliabilityBin> bins;
};

/// Draws a reliability diagram as an SVG `width` pixels wide: the share of right verdicts against
/// their stated confidence, from 0 to 1 each. The area of a point is proportional to its bin;
/// points on the diagonal are calibrated. Throws InvalidArgument unless `series` has one to three
/// entries, and for a bin outside the unit square.
[[nodiscard]] std::string reliability_svg(std::span<const ReliabilitySeries> series,
                                          const std::string& title = "Reliability",
                                          double width = 480);

}  // namespace sp2dpo::report
