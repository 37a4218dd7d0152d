// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

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

std::vector<Finding> all_checks(const ScheduleView& schedule, const Evidence& evidence,
                                const CheckLimits& limits) {
  const auto betas = betas_of(schedule);
  const std::size_t n = betas.size();
  const auto& lengths = evidence.length_differences;
  detail::require(lengths.empty() || lengths.size() == n,
                  "there are {} differences in length for the {} pairs of the schedule",
                  lengths.size(), n);
  const auto share = [n](std::size_t count) {
    return static_cast<double>(count) / static_cast<double>(n);
  };
  const auto percent = [&](std::size_t count) {
    return fmt::format("{} of {} pairs ({:.0f} %)", count, n, 100 * share(count));
  };
  std::vector<Finding> findings;
  const auto add = [&](const char* check, double value, double limit, bool found,
                       std::string sentence) {
    findings.push_back(
        {check, value, limit, std::move(sentence), found ? Verdict::found : Verdict::fine});
  };
  const auto skip = [&](const char* check, double limit, const std::string& reason) {
    findings.push_back({check, 0, limit, "not checked: " + reason, Verdict::not_checked});
  };

  const Interval envelope = limits.envelope;
  const auto [low, high] = at_ends(betas, envelope);
  const auto clumping = [&](const char* check, std::size_t count, double end, const char* gaps) {
    const bool found = share(count) > limits.share_at_end;
    auto sentence = fmt::format("{} have a beta at the envelope's end {}", percent(count), end);
    sentence += found ? fmt::format(
                            ": {} gaps are not told apart there. Look at the map's gap "
                            "range.",
                            gaps)
                      : ".";
    add(check, share(count), limits.share_at_end, found, std::move(sentence));
  };
  clumping("clumping-low", low, envelope.low, "small or negative");
  clumping("clumping-high", high, envelope.high, "large");

  const double width = envelope.high - envelope.low;
  const double deviation = standard_deviation(betas);
  const bool flat = deviation < limits.spread * width;
  add("no-spread", deviation / width, limits.spread, flat,
      fmt::format(
          "{} standard deviation {:.4f} is {:.1f} % of the envelope's width.{}",
          flat ? "beta hardly varies: its" : "beta's", deviation, 100 * deviation / width,
          flat ? fmt::format(" Expect what a constant beta of {:.3f} gives.", mean(betas)) : ""));

  if (lengths.empty()) {
    skip("length-bias", limits.length_correlation, "the answers' lengths are not at hand.");
  } else {
    // Without any spread on a side there is no correlation, and no bias to see.
    const double correlation = stats::spearman(betas, lengths).value.value_or(0);
    const bool found =
        std::abs(correlation) >= limits.length_correlation && beyond_chance(correlation, n);
    add("length-bias", correlation, limits.length_correlation, found,
        fmt::format("{} rank correlation with how much longer the chosen answer is, is {:+.2f}.{}",
                    found ? "beta follows length: its" : "beta's", correlation,
                    found ? " The gaps may measure length, not quality." : ""));
  }

  if (!evidence.reliability) {
    skip("guessing", limits.reliability, "the annotations are not at hand.");
  } else if (!evidence.reliability->value) {
    skip("guessing", limits.reliability, evidence.reliability->reason + ".");
  } else {
    const double reliability = *evidence.reliability->value;
    const bool found = reliability < limits.reliability;
    add("guessing", reliability, limits.reliability, found,
        found ? fmt::format("annotators differ on one pair about as much as pairs differ: the "
                            "reliability of their mean, ICC(1,k), is {:.2f}. They may be guessing.",
                            reliability)
              : fmt::format("the reliability of the annotators' mean, ICC(1,k), is {:.2f}.",
                            reliability));
  }

  std::size_t missing = 0, clipped = 0;
  std::vector<std::size_t> named(schedule.categories().size());
  std::map<int, std::size_t> by_annotators;
  schedule.for_each([&](const ScheduleEntry& entry) {
    missing += !entry.gap.has_value();
    clipped += entry.clipped != Clip::none;
    if (!entry.gap) return;
    ++by_annotators[entry.gap->n_annotators];
    ++named[static_cast<std::size_t>(entry.gap->category)];
  });
  const int largest = by_annotators.empty() ? 0 : by_annotators.rbegin()->first;
  const std::size_t incomplete =
      by_annotators.empty() ? 0 : n - missing - by_annotators.rbegin()->second;
  add("missing", share(missing), limits.share_missing, share(missing) > limits.share_missing,
      fmt::format("{} have no gap, and the beta stated for such pairs.", percent(missing)));
  add("clipped", share(clipped), limits.share_clipped, share(clipped) > limits.share_clipped,
      fmt::format("the gaps of {} lie outside the map's gap range and were cut off.",
                  percent(clipped)));
  add("coverage", share(incomplete), limits.share_incomplete,
      share(incomplete) > limits.share_incomplete,
      fmt::format("{} have fewer annotators than the {} that others have.", percent(incomplete),
                  largest));

  if (named.size() < 2 || missing == n) {
    skip("category-collapse", limits.share_of_category,
         missing == n ? "no pair has a category." : "there is one category only.");
  } else {
    const auto most = std::ranges::max_element(named);
    const double part = static_cast<double>(*most) / static_cast<double>(n - missing);
    const bool found = part > limits.share_of_category;
    add("category-collapse", part, limits.share_of_category, found,
        fmt::format("the most frequent category, {}, is that of {:.0f} % of the pairs.{}",
                    schedule.categories().names()[static_cast<std::size_t>(most - named.begin())],
                    100 * part, found ? " The others are hardly told apart from it." : ""));
  }
  return findings;
}

std::vector<Finding> check_schedule(const ScheduleView& schedule,
                                    std::span<const double> length_differences,
                                    const CheckLimits& limits) {
  auto findings = all_checks(schedule, {.length_differences = length_differences}, limits);
  std::erase_if(findings, [](const Finding& finding) { return finding.verdict != Verdict::found; });
  return findings;
}

}  // namespace sp2dpo::report
