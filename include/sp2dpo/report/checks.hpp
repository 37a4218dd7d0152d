// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>
#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::report {

/// What a check came to. `not_checked`: what it needs is not at hand.
enum class CheckResult : std::uint8_t { pass, warn, not_checked };

/// Something about a schedule that was looked at before training with it.
struct Finding {
  std::string check;       ///< `saturation-low`, `saturation-high`, `no-spread`, `length-bias`, …
  double value{};          ///< what was measured
  double limit{};          ///< what it was held against
  std::string sentence{};  ///< both, for people, with what it means; why it was not checked
  CheckResult result = CheckResult::warn;
};

/// From where on a figure is a finding. The defaults are rules of thumb, not of the paper.
struct CheckLimits {
  Interval envelope = Linear::default_envelope;
  /// Share of the pairs within 1 % of an end of the envelope: `saturation-low`, `saturation-high`. Of
  /// betas spread evenly over the envelope, 1 % would be there.
  double share_at_end = 0.2;
  /// Standard deviation of beta over the envelope's width: `no-spread` below it. 0.29 = even.
  double spread = 0.05;
  /// Size of Spearman's rank correlation of beta with the answers' difference in length:
  /// `length-bias`, if besides chance alone gives so much in less than 1 % of such schedules.
  double length_correlation = 0.3;
  /// ICC(1,k) of the annotators' gaps: `guessing` below it. 0 = pairs differ no more than
  /// annotators do on one pair.
  double reliability = 0.3;
  double share_missing = 0.05;      ///< share of the pairs without a gap: `missing`
  double share_clipped = 0.05;      ///< share of the pairs whose gap was cut off: `clipped`
  double share_incomplete = 0.1;    ///< share with fewer annotators than others: `coverage`
  double share_of_category = 0.95;  ///< share of the most frequent category: `category-collapse`
};

/// What is known of a schedule's pairs besides the schedule.
struct Evidence {
  /// By pair in the schedule's order, the chosen answer's length minus the rejected one's, in any
  /// unit; none: not known.
  std::span<const double> length_differences{};
  /// ICC(1,k) of the annotators' gaps, stats::icc()'s mean[0]; empty: not known.
  std::optional<stats::Estimate> reliability{};
};

/// The failure signatures that show before training, each with its verdict: betas piled at an end
/// of the envelope or almost constant, tied to the answers' lengths, made of guesses, missing or
/// clipped; a panel that is not complete; one category for all. Throws InvalidArgument for a
/// schedule without pairs, or where there are lengths for some pairs only.
[[nodiscard]] std::vector<Finding> all_checks(const ScheduleView& schedule,
                                              const Evidence& evidence,
                                              const CheckLimits& limits = {});

/// Those of all_checks() that found something.
[[nodiscard]] std::vector<Finding> check_schedule(const ScheduleView& schedule,
                                                  std::span<const double> length_differences = {},
                                                  const CheckLimits& limits = {});

}  // namespace sp2dpo::report
