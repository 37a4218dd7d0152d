// SPDX-License-Identifier: Apache-2.0
#include "bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>

namespace sp2dpo::stats {

std::optional<Interval> percentile_interval(std::size_t n, const Bootstrap& bootstrap,
                                            const Statistic& statistic) {
  // std::uniform_int_distribution differs between standard libraries; the raw bits do not.
  std::mt19937_64 random(bootstrap.seed);
  std::vector<double> values;
  std::vector<std::uint32_t> times(n);
  for (int replicate = 0; replicate < bootstrap.replicates; ++replicate) {
    std::ranges::fill(times, 0U);
    for (std::size_t i = 0; i < n; ++i) ++times[random() % n];
    if (const auto value = statistic(times)) values.push_back(*value);
  }
  if (values.empty() || 2 * std::ssize(values) < bootstrap.replicates) return std::nullopt;
  std::ranges::sort(values);
  const auto quantile = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, values.size() - 1);
    return std::lerp(values[below], values[above], place - static_cast<double>(below));
  };
  return Interval{quantile(0.025), quantile(0.975)};
}

}  // namespace sp2dpo::stats
