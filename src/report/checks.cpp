// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "statistics.hpp"

#include <sp2dpo/report/checks.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::report {
namespace {

/// A correlation of n pairs of ranks is, by chance alone, about normal with deviation 1 / √(n − 1).
bool beyond_chance(double correlation, std::size_t n) {
  constexpr double two_sided_one_percent = 2.576;
  return std::abs(correlation) * std::sqrt(static_cast<double>(n) - 1) > two_sided_one_percent;
}

}  // namespace

std::vector<Finding> check_schedule(const Schedule& schedule,
                                    std::span<const double> length_differences,
                                    const CheckLimits& limits) {
  const auto betas = betas_of(schedule);
  const std::size_t n = betas.size();
  detail::require(length_differences.empty() || length_differences.size() == n,
                  "there are {} differences in length for the {} pairs of the schedule",
                  length_differences.size(), n);
  const auto share = [n](std::size_t count) {
    return static_cast<double>(count) / static_cast<double>(n);
  };
  const Interval envelope = limits.envelope;
  std::vector<Finding> findings;

  const auto [low, high] = at_ends(betas, envelope);
  const auto clumping = [&](const char* check, std::size_t count, double end, const char* gaps) {
    if (share(count) <= limits.share_at_end) return;
    findings.push_back(
        {check, share(count), limits.share_at_end,
         fmt::format("{} of {} pairs ({:.0f} %) have a beta at the envelope's end {}: {} gaps are "
                     "not told apart there. Look at the map's gap range.",
                     count, n, 100 * share(count), end, gaps)});
  };
  clumping("clumping-low", low, envelope.low, "small or negative");
  clumping("clumping-high", high, envelope.high, "large");

  const double width = envelope.high - envelope.low;
  const double deviation = standard_deviation(betas);
  if (deviation < limits.spread * width)
    findings.push_back(
        {"no-spread", deviation / width, limits.spread,
         fmt::format("beta hardly varies: its standard deviation {:.4f} is {:.1f} % of the "
                     "envelope's width. Expect what a constant beta of {:.3f} gives.",
                     deviation, 100 * deviation / width, mean(betas))});

  if (!length_differences.empty()) {
    // Without any spread on a side there is no correlation, and no bias to see.
    const double correlation = stats::spearman(betas, length_differences).value.value_or(0);
    if (std::abs(correlation) >= limits.length_correlation && beyond_chance(correlation, n))
      findings.push_back(
          {"length-bias", correlation, limits.length_correlation,
           fmt::format("beta follows length: its rank correlation with how much longer the chosen "
                       "answer is, is {:+.2f}. The gaps may measure length, not quality.",
                       correlation)});
  }

  std::size_t missing = 0, clipped = 0;
  for (const auto& entry : schedule.entries()) {
    missing += !entry.gap.has_value();
    clipped += entry.clipped != Clip::none;
  }
  if (share(missing) > limits.share_missing)
    findings.push_back(
        {"missing", share(missing), limits.share_missing,
         fmt::format("{} of {} pairs ({:.0f} %) have no gap, and the beta stated for "
                     "such pairs.",
                     missing, n, 100 * share(missing))});
  if (share(clipped) > limits.share_clipped)
    findings.push_back({"clipped", share(clipped), limits.share_clipped,
                        fmt::format("the gaps of {} of {} pairs ({:.0f} %) lie outside the map's "
                                    "gap range and were cut off.",
                                    clipped, n, 100 * share(clipped))});
  return findings;
}

}  // namespace sp2dpo::report
