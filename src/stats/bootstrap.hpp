// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::stats {

/// A statistic of a resample, given how many times each unit was drawn; nullopt if undefined.
using Statistic = std::function<std::optional<double>(const std::vector<std::uint32_t>& times)>;

/// Returns the middle 95 % of the statistic over resamples of `n` units, or nullopt if it is
/// defined for fewer than half of the resamples.
[[nodiscard]] std::optional<Interval> percentile_interval(std::size_t n, const Bootstrap& bootstrap,
                                                          const Statistic& statistic);

}  // namespace sp2dpo::stats
