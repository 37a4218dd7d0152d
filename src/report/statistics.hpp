// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <sp2dpo/linear.hpp>
#include <sp2dpo/schedule.hpp>

namespace sp2dpo::report {

[[nodiscard]] inline std::vector<double> betas_of(const Schedule& schedule) {
  detail::require(schedule.size() > 0, "the schedule has no pairs");
  std::vector<double> betas;
  for (const auto& entry : schedule.entries()) betas.push_back(entry.beta);
  return betas;
}

[[nodiscard]] inline double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Of these values themselves, not of a population that they are drawn from.
[[nodiscard]] inline double standard_deviation(std::span<const double> values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

/// Linear between the two nearest of the values, which are sorted.
[[nodiscard]] inline double quantile(std::span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

/// Each value's rank; equal values share the mean of theirs.
[[nodiscard]] inline std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> result(values.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i)
      result[order[i]] = static_cast<double>(begin + end - 1) / 2;
  }
  return result;
}

/// Spearman's rank correlation; 0 where one side is constant.
[[nodiscard]] inline double rank_correlation(std::span<const double> x, std::span<const double> y) {
  const auto a = ranks(x), b = ranks(y);
  const double spread = standard_deviation(a) * standard_deviation(b);
  if (spread == 0) return 0;
  const double middle = mean(a);  // of b too: the mean of all ranks
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - middle) * (b[i] - middle);
  return sum / static_cast<double>(a.size()) / spread;
}

/// How many betas lie within 1 % of an end of the envelope, or beyond it.
struct AtEnds {
  std::size_t low = 0;
  std::size_t high = 0;
};

[[nodiscard]] inline AtEnds at_ends(std::span<const double> betas, Interval envelope) {
  const double near = 0.01 * (envelope.high - envelope.low);
  AtEnds count;
  for (const double beta : betas) {
    count.low += beta <= envelope.low + near;
    count.high += beta >= envelope.high - near;
  }
  return count;
}

}  // namespace sp2dpo::report
