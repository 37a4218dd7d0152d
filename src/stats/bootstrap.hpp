// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::stats {

/// The statistic of a resample: how many times each unit was drawn goes in; empty where undefined.
using Statistic = std::function<std::optional<double>(const std::vector<std::uint32_t>& times)>;

/// The middle 95 % of the statistic over resamples of `n` units; empty where fewer than half of
/// them define it.
[[nodiscard]] std::optional<Interval> percentile_interval(std::size_t n, const Bootstrap& bootstrap,
                                                          const Statistic& statistic);

}  // namespace sp2dpo::stats
