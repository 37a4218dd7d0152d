// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include <sp2dpo/stats/calibration.hpp>

namespace sp2dpo::report {

/// The bins of one way to say how sure a verdict is.
struct ReliabilitySeries {
  std::string name;
  std::vector<stats::ReliabilityBin> bins;
};

/// A reliability diagram, `width` pixels wide, an SVG as those of svg.hpp: how often verdicts were
/// right by how sure they said they were, from 0 to 1 each. The area of a point grows with its bin;
/// on the diagonal a verdict is as often right as it says. Throws InvalidArgument without a series,
/// for more than three of them, and for a bin outside the square.
[[nodiscard]] std::string reliability_svg(std::span<const ReliabilitySeries> series,
                                          const std::string& title = "Reliability",
                                          double width = 480);

}  // namespace sp2dpo::report
