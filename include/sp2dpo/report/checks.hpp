// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include <sp2dpo/linear.hpp>
#include <sp2dpo/schedule.hpp>

namespace sp2dpo::report {

/// Something about a schedule to look at before training with it.
struct Finding {
  std::string check;     ///< `clumping-low`, `clumping-high`, `no-spread`, `length-bias`, …
  double value;          ///< what was measured
  double limit;          ///< what it was held against
  std::string sentence;  ///< both, for people, with what it means
};

/// From where on a figure is a finding. The defaults are rules of thumb, not of the paper.
struct CheckLimits {
  Interval envelope = Linear::default_envelope;
  /// Share of the pairs within 1 % of an end of the envelope: `clumping-low`, `clumping-high`. Of
  /// betas spread evenly over the envelope, 1 % would be there.
  double share_at_end = 0.2;
  /// Standard deviation of beta over the envelope's width: `no-spread` below it. 0.29 = even.
  double spread = 0.05;
  /// Size of Spearman's rank correlation of beta with the answers' difference in length:
  /// `length-bias`, if besides chance alone gives so much in less than 1 % of such schedules.
  double length_correlation = 0.3;
  double share_missing = 0.05;  ///< share of the pairs without a gap: `missing`
  double share_clipped = 0.05;  ///< share of the pairs whose gap was cut off: `clipped`
};

/// The failure signatures that show before training: betas piled at an end of the envelope or
/// almost constant, tied to the answers' lengths, missing or clipped. Only what exceeds its limit
/// is returned. `length_differences`, by pair in the schedule's order, is the chosen answer's
/// length minus the rejected one's, in any unit; none given = not checked. Throws InvalidArgument
/// for a schedule without pairs, or where there are lengths for some pairs only.
[[nodiscard]] std::vector<Finding> check_schedule(const Schedule& schedule,
                                                  std::span<const double> length_differences = {},
                                                  const CheckLimits& limits = {});

}  // namespace sp2dpo::report
