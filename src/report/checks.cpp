// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "statistics.hpp"

#include <sp2dpo/report/checks.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::report {
namespace {

/// Everything that the checks read, collected in two passes over the schedule.
struct Measurements {
  const Evidence& evidence;
  const CheckLimits& limits;
  const Categories& categories;
  std::vector<double> betas;
  AtEnds at_ends;
  std::size_t missing = 0;
  std::size_t clipped_low = 0;
  std::size_t clipped_high = 0;
  bool has_negative_gaps = false;
  std::vector<std::size_t> by_category;           // pairs with a gap
  std::map<int, std::size_t> by_annotators = {};  // pairs with a gap, by number of annotators

  [[nodiscard]] std::size_t pairs() const { return betas.size(); }
  [[nodiscard]] double share(std::size_t count) const {
    return static_cast<double>(count) / static_cast<double>(pairs());
  }
  [[nodiscard]] std::string percent(std::size_t count) const {
    return fmt::format("{} of {} pairs ({:.0f} %)", count, pairs(), 100 * share(count));
  }
};

Measurements measure(const ScheduleView& schedule, const Evidence& evidence,
                     const CheckLimits& limits) {
  auto betas = betas_of(schedule);
  const AtEnds ends = at_ends(betas, limits.envelope);
  const auto& lengths = evidence.length_differences;
  detail::require(lengths.empty() || lengths.size() == betas.size(),
                  "got {} differences in length for the {} pairs of the schedule", lengths.size(),
                  betas.size());
  Measurements measured{.evidence = evidence,
                        .limits = limits,
                        .categories = schedule.categories(),
                        .betas = std::move(betas),
                        .at_ends = ends,
                        .by_category = std::vector<std::size_t>(schedule.categories().size())};
  schedule.for_each([&](const ScheduleEntry& entry) {
    measured.missing += !entry.gap.has_value();
    measured.clipped_low += entry.clipped == Clip::low;
    measured.clipped_high += entry.clipped == Clip::high;
    if (!entry.gap) return;
    measured.has_negative_gaps |= entry.gap->value < 0;
    ++measured.by_annotators[entry.gap->n_annotators];
    ++measured.by_category[static_cast<std::size_t>(entry.gap->category)];
  });
  return measured;
}

/// Returns the outcome of a check that ran; all_checks() adds the name.
Finding outcome(double value, double limit, bool found, std::string sentence) {
  return {"", value, limit, std::move(sentence), found ? CheckResult::warn : CheckResult::pass};
}

Finding not_checked(double limit, const std::string& reason) {
  return {"", 0, limit, "not checked: " + reason, CheckResult::not_checked};
}

Finding saturation(const Measurements& m, std::size_t count, double end, const char* gaps) {
  const bool found = m.share(count) > m.limits.share_at_end;
  auto sentence =
      fmt::format("{} have a beta at the end of the envelope, {}", m.percent(count), end);
  sentence +=
      found
          ? fmt::format(". Betas no longer separate {} gaps; adjust the mapper's gap range.", gaps)
          : ".";
  return outcome(m.share(count), m.limits.share_at_end, found, std::move(sentence));
}

Finding saturation_low(const Measurements& m) {
  return saturation(m, m.at_ends.low, m.limits.envelope.low, "small or negative");
}

Finding saturation_high(const Measurements& m) {
  return saturation(m, m.at_ends.high, m.limits.envelope.high, "large");
}

Finding no_spread(const Measurements& m) {
  const double width = m.limits.envelope.high - m.limits.envelope.low;
  const double deviation = standard_deviation(m.betas);
  const bool flat = deviation < m.limits.spread * width;
  return outcome(
      deviation / width, m.limits.spread, flat,
      fmt::format(
          "{}tandard deviation of beta {:.4f}, {:.1f} % of the width of the envelope.{}",
          flat ? "beta hardly varies: s" : "s", deviation, 100 * deviation / width,
          flat ? fmt::format(" Expect the results of a constant beta of {:.3f}.", mean(m.betas))
               : ""));
}

/// Under independence, the rank correlation of n pairs is about normal with deviation 1 / √(n − 1).
bool beyond_chance(double correlation, std::size_t n) {
  constexpr double two_sided_one_percent = 2.576;
  return std::abs(correlation) * std::sqrt(static_cast<double>(n) - 1) > two_sided_one_percent;
}

Finding length_bias(const Measurements& m) {
  const double limit = m.limits.length_correlation;
  if (m.evidence.length_differences.empty())
    return not_checked(limit, "the lengths of the responses are unknown.");
  // If beta or the lengths are constant, the correlation is undefined and no bias can show.
  const double correlation =
      stats::spearman(m.betas, m.evidence.length_differences).value.value_or(0);
  const bool found = std::abs(correlation) >= limit && beyond_chance(correlation, m.pairs());
  return outcome(
      correlation, limit, found,
      fmt::format(
          "{}rank correlation of beta with the extra length of the chosen response {:+.2f}.{}",
          found ? "beta follows length: " : "", correlation,
          found ? " The gaps may measure length instead of quality." : ""));
}

Finding guessing(const Measurements& m) {
  const double limit = m.limits.reliability;
  const auto& reliability = m.evidence.reliability;
  if (!reliability) return not_checked(limit, "the annotations are missing.");
  if (!reliability->value) return not_checked(limit, reliability->reason + ".");
  const bool found = *reliability->value < limit;
  return outcome(
      *reliability->value, limit, found,
      found ? fmt::format("annotators differ on one pair about as much as pairs differ: "
                          "reliability of their mean, ICC(1,k), {:.2f}. They may be guessing.",
                          *reliability->value)
            : fmt::format("reliability of the annotators' mean, ICC(1,k), {:.2f}.",
                          *reliability->value));
}

Finding missing(const Measurements& m) {
  const double share = m.share(m.missing);
  return outcome(
      share, m.limits.share_missing, share > m.limits.share_missing,
      fmt::format("{} lack a gap and have the beta for missing gaps.", m.percent(m.missing)));
}

Finding clipped(const Measurements& m) {
  const std::size_t clipped = m.clipped_low + m.clipped_high;
  const double share = m.share(clipped);
  return outcome(share, m.limits.share_clipped, share > m.limits.share_clipped,
                 fmt::format("the gaps of {} lie outside the mapper's gap range and were clipped.",
                             m.percent(clipped)));
}

Finding coverage(const Measurements& m) {
  const auto [largest, complete] =
      m.by_annotators.empty() ? std::pair<const int, std::size_t>{} : *m.by_annotators.rbegin();
  const std::size_t incomplete = m.pairs() - m.missing - complete;
  const double share = m.share(incomplete);
  return outcome(share, m.limits.share_incomplete, share > m.limits.share_incomplete,
                 fmt::format("{} have fewer than {} annotators, the largest number of any pair.",
                             m.percent(incomplete), largest));
}

Finding category_collapse(const Measurements& m) {
  const double limit = m.limits.share_of_category;
  if (m.missing == m.pairs()) return not_checked(limit, "no pair has a category.");
  if (m.by_category.size() < 2) return not_checked(limit, "the schedule has a single category.");
  const auto largest = std::ranges::max_element(m.by_category);
  const double share = static_cast<double>(*largest) / static_cast<double>(m.pairs() - m.missing);
  const bool found = share > limit;
  const auto& name =
      m.categories.names()[static_cast<std::size_t>(largest - m.by_category.begin())];
  return outcome(
      share, limit, found,
      fmt::format("the most frequent category, {}, covers {:.0f} % of the pairs.{}", name,
                  100 * share, found ? " The annotators hardly use the other categories." : ""));
}

/// The gap range that holds every gap, or ranks if the gaps lie close together within it.
std::string spread_out(const Measurements& m, std::size_t n_clipped) {
  if (n_clipped == 0) return "sp2dpo schedule ... --mapper rank";
  return fmt::format("sp2dpo schedule ... --gap-range {}", m.has_negative_gaps ? "-1,1" : "0,1");
}

std::string mend_saturation_low(const Measurements& m) {
  return spread_out(m, m.clipped_low);
}

std::string mend_saturation_high(const Measurements& m) {
  return spread_out(m, m.clipped_high);
}

std::string mend_spread(const Measurements& m) {
  return spread_out(m, 0);
}

std::string mend_clipping(const Measurements& m) {
  return spread_out(m, m.clipped_low + m.clipped_high);
}

std::string mend_length_bias(const Measurements& m) {
  if (m.evidence.length_differences.empty()) return "sp2dpo report ... --pairs PAIRS";
  return "sp2dpo agree --pairs PAIRS --annotations ANNOTATIONS";
}

std::string mend_guessing(const Measurements& m) {
  if (!m.evidence.reliability) return "sp2dpo report ... --annotations ANNOTATIONS";
  return "sp2dpo report ... --annotations ANNOTATIONS --high-disagreement FILE";
}

std::string mend_missing(const Measurements&) {
  return "sp2dpo schedule ... --missing drop";
}

std::string mend_coverage(const Measurements& m) {
  return fmt::format("sp2dpo schedule ... --missing drop --min-annotators {}",
                     m.by_annotators.empty() ? 1 : m.by_annotators.rbegin()->first);
}

std::string mend_categories(const Measurements&) {
  return "sp2dpo agree --annotations ANNOTATIONS";
}

struct Check {
  const char* name;
  Finding (*run)(const Measurements&);
  std::string (*remedy)(const Measurements&);
};

constexpr Check checks[] = {{"saturation-low", saturation_low, mend_saturation_low},
                            {"saturation-high", saturation_high, mend_saturation_high},
                            {"no-spread", no_spread, mend_spread},
                            {"length-bias", length_bias, mend_length_bias},
                            {"guessing", guessing, mend_guessing},
                            {"missing", missing, mend_missing},
                            {"clipped", clipped, mend_clipping},
                            {"coverage", coverage, mend_coverage},
                            {"category-collapse", category_collapse, mend_categories}};

}  // namespace

std::vector<Finding> all_checks(const ScheduleView& schedule, const Evidence& evidence,
                                const CheckLimits& limits) {
  const Measurements measured = measure(schedule, evidence, limits);
  std::vector<Finding> findings;
  for (const auto& check : checks) {
    findings.push_back(check.run(measured));
    findings.back().check = check.name;
    if (findings.back().result != CheckResult::pass)
      findings.back().remedy = check.remedy(measured);
  }
  return findings;
}

std::vector<Finding> check_schedule(const ScheduleView& schedule,
                                    std::span<const double> length_differences,
                                    const CheckLimits& limits) {
  auto findings = all_checks(schedule, {.length_differences = length_differences}, limits);
  std::erase_if(findings,
                [](const Finding& finding) { return finding.result != CheckResult::warn; });
  return findings;
}

}  // namespace sp2dpo::report
