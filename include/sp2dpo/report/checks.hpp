// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>
#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::report {

/// Outcome of a check; `not_checked` if its input is missing.
enum class CheckResult : std::uint8_t { pass, warn, not_checked };

/// The outcome of one check of a schedule.
struct Finding {
  std::string check;       ///< `saturation-low`, `saturation-high`, `no-spread`, `length-bias`, …
  double value{};          ///< measured figure
  double limit{};          ///< threshold of the check
  std::string sentence{};  ///< the finding in words, or why the check did not run
  CheckResult result = CheckResult::warn;
  /// Command that mends what was found or shows its cause, with capitals for the user's file names;
  /// of a check that did not run, the command that runs it. Empty if the check passes.
  std::string remedy{};
};

/// Thresholds of the checks. The defaults are rules of thumb, not taken from the paper.
struct CheckLimits {
  Interval envelope = Linear::default_envelope;
  /// `saturation-low`, `saturation-high`: largest share of pairs within 1 % of an end of the
  /// envelope. Betas spread evenly over the envelope have a share of 1 %.
  double share_at_end = 0.2;
  /// `no-spread`: smallest standard deviation of beta over the width of the envelope. Betas spread
  /// evenly have 0.29.
  double spread = 0.05;
  /// `length-bias`: size of Spearman's rank correlation of beta with the difference in length. The
  /// check also requires that chance alone exceeds the correlation in less than 1 % of schedules.
  double length_correlation = 0.3;
  /// `guessing`: smallest ICC(1,k) of the annotators' gaps. At 0, pairs differ no more than
  /// annotators differ on one pair.
  double reliability = 0.3;
  double share_missing = 0.05;      ///< `missing`: share of pairs without a gap
  double share_clipped = 0.05;      ///< `clipped`: share of pairs with a clipped gap
  double share_incomplete = 0.1;    ///< `coverage`: share of pairs that lack annotators
  double share_of_category = 0.95;  ///< `category-collapse`: share of the top category
};

/// Facts about the pairs that a schedule lacks.
struct Evidence {
  /// Length of the chosen response minus that of the rejected one, in any unit, in the order of the
  /// schedule; empty if unknown.
  std::span<const double> length_differences{};
  /// ICC(1,k) of the annotators' gaps, which is mean[0] of stats::icc(); empty if unknown.
  std::optional<stats::Estimate> reliability{};
};

/// Runs every check for failures that show before training: betas saturated at an end of the
/// envelope, almost constant, correlated with length, unreliable, missing or clipped; an incomplete
/// panel; a single dominant category. Throws InvalidArgument for an empty schedule and if the
/// number of lengths differs from the number of pairs.
[[nodiscard]] std::vector<Finding> all_checks(const ScheduleView& schedule,
                                              const Evidence& evidence,
                                              const CheckLimits& limits = {});

/// Returns the findings of all_checks() whose result is `warn`.
[[nodiscard]] std::vector<Finding> check_schedule(const ScheduleView& schedule,
                                                  std::span<const double> length_differences = {},
                                                  const CheckLimits& limits = {});

}  // namespace sp2dpo::report
