// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::report {

[[nodiscard]] inline std::vector<double> betas_of(const ScheduleView& schedule) {
  detail::require(schedule.size() > 0, "the schedule is empty");
  std::vector<double> betas;
  betas.reserve(schedule.size());
  schedule.for_each([&](const ScheduleEntry& entry) { betas.push_back(entry.beta); });
  return betas;
}

[[nodiscard]] inline double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Population standard deviation, with divisor n.
[[nodiscard]] inline double standard_deviation(std::span<const double> values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

/// Quantile of sorted values, with linear interpolation.
[[nodiscard]] inline double quantile(std::span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

/// Numbers of betas within 1 % of either end of the envelope, or beyond it.
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
