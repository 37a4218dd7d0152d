// SPDX-License-Identifier: Apache-2.0
#include "bootstrap.hpp"

#include <sp2dpo/stats/mean.hpp>

namespace sp2dpo::stats {

Estimate mean(std::span<const double> values, const Bootstrap& bootstrap) {
  const auto n = std::ssize(values);
  if (n == 0) return Estimate::undefined("the list is empty", n);
  const auto of = [&](const std::vector<std::uint32_t>& times) -> std::optional<double> {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += times[i] * values[i];
    return sum / static_cast<double>(n);
  };
  auto estimate = Estimate::of(of(std::vector<std::uint32_t>(values.size(), 1)).value(), n);
  estimate.ci = percentile_interval(values.size(), bootstrap, of);
  return estimate;
}

}  // namespace sp2dpo::stats
