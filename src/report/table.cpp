// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string_view>

#include "statistics.hpp"

#include <sp2dpo/report/table.hpp>

namespace sp2dpo::report {
namespace {

struct Group {
  std::vector<double> betas;
  std::vector<double> gaps{};
};

std::string line(std::string_view name, Group& group) {
  std::ranges::sort(group.betas);
  const auto at = [&](double share) { return quantile(group.betas, share); };
  return fmt::format("{:<16}{:>7}{:>9.3f}{:>8.3f}{:>8.3f}{:>8.3f}{:>8.3f}{:>10}\n", name,
                     group.betas.size(), at(0), at(0.25), at(0.5), at(0.75), at(1),
                     group.gaps.empty() ? "-" : fmt::format("{:.3f}", mean(group.gaps)));
}

}  // namespace

std::string beta_table(const Schedule& schedule, Interval envelope) {
  Group all{.betas = betas_of(schedule)};
  Group without_gap;
  std::vector<Group> by_category(schedule.categories().size());
  std::size_t clipped_low = 0, clipped_high = 0;
  for (const auto& entry : schedule.entries()) {
    auto& group =
        entry.gap ? by_category[static_cast<std::size_t>(entry.gap->category)] : without_gap;
    group.betas.push_back(entry.beta);
    clipped_low += entry.clipped == Clip::low;
    clipped_high += entry.clipped == Clip::high;
    if (!entry.gap) continue;
    group.gaps.push_back(entry.gap->value);
    all.gaps.push_back(entry.gap->value);
  }

  std::string table = fmt::format("{:<16}{:>7}{:>9}{:>8}{:>8}{:>8}{:>8}{:>10}\n", "category",
                                  "pairs", "beta min", "25 %", "median", "75 %", "max", "mean gap");
  for (std::size_t i = 0; i < by_category.size(); ++i)
    if (!by_category[i].betas.empty())
      table += line(schedule.categories().names()[i], by_category[i]);
  if (!without_gap.betas.empty()) table += line("(no gap)", without_gap);
  table += line("all", all);

  const auto [low, high] = at_ends(all.betas, envelope);
  const double n = static_cast<double>(schedule.size());
  table += fmt::format(
      "at the ends of the envelope: {} pairs at {} ({:.1f} %), {} at {} ({:.1f} %); clipped: {} "
      "low, "
      "{} high; without a gap: {}\n",
      low, envelope.low, 100 * static_cast<double>(low) / n, high, envelope.high,
      100 * static_cast<double>(high) / n, clipped_low, clipped_high, without_gap.betas.size());
  return table;
}

}  // namespace sp2dpo::report
