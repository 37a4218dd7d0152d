// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <utility>

#include "beta_rows.hpp"
#include "statistics.hpp"
#include <fmt/format.h>

#include <sp2dpo/report/table.hpp>

namespace sp2dpo::report {
namespace {

struct Group {
  std::vector<double> betas;
  double gaps = 0;  // sum
  std::size_t with_gap = 0;
};

BetaRow row(std::string name, Group& group) {
  std::ranges::sort(group.betas);
  const auto at = [&](double share) { return quantile(group.betas, share); };
  return {std::move(name),
          group.betas.size(),
          {at(0), at(0.25), at(0.5), at(0.75), at(1)},
          group.with_gap == 0 ? std::nullopt
                              : std::optional(group.gaps / static_cast<double>(group.with_gap))};
}

}  // namespace

std::vector<BetaRow> beta_rows(const ScheduleView& schedule) {
  Group all{.betas = betas_of(schedule)};
  Group without_gap;
  std::vector<Group> by_category(schedule.categories().size());
  schedule.for_each([&](const ScheduleEntry& entry) {
    auto& group =
        entry.gap ? by_category[static_cast<std::size_t>(entry.gap->category)] : without_gap;
    group.betas.push_back(entry.beta);
    if (!entry.gap) return;
    for (auto* const counted : {&group, &all}) {
      counted->gaps += entry.gap->value;
      ++counted->with_gap;
    }
  });
  std::vector<BetaRow> rows;
  for (std::size_t i = 0; i < by_category.size(); ++i)
    if (!by_category[i].betas.empty())
      rows.push_back(row(schedule.categories().names()[i], by_category[i]));
  if (!without_gap.betas.empty()) rows.push_back(row("(no gap)", without_gap));
  rows.push_back(row("all", all));
  return rows;
}

std::string beta_table(const ScheduleView& schedule, Interval envelope) {
  std::string table = fmt::format("{:<16}{:>7}{:>9}{:>8}{:>8}{:>8}{:>8}{:>10}\n", "category",
                                  "pairs", "beta min", "25 %", "median", "75 %", "max", "mean gap");
  for (const auto& row : beta_rows(schedule)) {
    const auto& at = row.quartiles;
    table += fmt::format("{:<16}{:>7}{:>9.3f}{:>8.3f}{:>8.3f}{:>8.3f}{:>8.3f}{:>10}\n", row.name,
                         row.pairs, at[0], at[1], at[2], at[3], at[4],
                         row.mean_gap ? fmt::format("{:.3f}", *row.mean_gap) : "-");
  }

  std::size_t clipped_low = 0, clipped_high = 0, missing = 0;
  schedule.for_each([&](const ScheduleEntry& entry) {
    clipped_low += entry.clipped == Clip::low;
    clipped_high += entry.clipped == Clip::high;
    missing += !entry.gap;
  });
  const auto [low, high] = at_ends(betas_of(schedule), envelope);
  const double n = static_cast<double>(schedule.size());
  table += fmt::format(
      "at the ends of the envelope: {} pairs at {} ({:.1f} %), {} at {} ({:.1f} %); clipped: {} "
      "low, {} high; without a gap: {}\n",
      low, envelope.low, 100 * static_cast<double>(low) / n, high, envelope.high,
      100 * static_cast<double>(high) / n, clipped_low, clipped_high, missing);
  return table;
}

std::string beta_bars(const ScheduleView& schedule, Interval envelope, int bins) {
  detail::require(bins >= 1, "expected at least one bin, got {}", bins);
  constexpr std::int64_t max_bar = 50;
  const double width = (envelope.high - envelope.low) / bins;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(bins));
  std::int64_t outside = 0;
  schedule.for_each([&](const ScheduleEntry& entry) {
    if (entry.beta < envelope.low || entry.beta > envelope.high) {
      ++outside;
      return;
    }
    const int bin = width > 0 ? static_cast<int>((entry.beta - envelope.low) / width) : 0;
    ++counts[static_cast<std::size_t>(std::min(bin, bins - 1))];
  });
  const std::int64_t largest = std::max<std::int64_t>(1, *std::ranges::max_element(counts));
  std::string text;
  double from = envelope.low;
  for (int bin = 0; bin < bins; ++bin) {
    const auto count = counts[static_cast<std::size_t>(bin)];
    const double to = envelope.low + (bin + 1) * width;
    const auto bar = (count * max_bar + largest - 1) / largest;  // at least one # for one pair
    text += fmt::format("  {:.3f} - {:.3f} {:>8}  {}\n", from, to, count,
                        std::string(static_cast<std::size_t>(bar), '#'));
    from = to;
  }
  if (outside > 0) text += fmt::format("  outside the envelope {}\n", outside);
  return text;
}

}  // namespace sp2dpo::report
