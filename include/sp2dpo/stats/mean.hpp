// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::stats {

/// Computes the mean over units with a bootstrap interval; undefined for an empty list. Equal seeds
/// draw equal units, so the mean of the differences of two figures, unit by unit, has the paired
/// interval.
[[nodiscard]] Estimate mean(std::span<const double> values, const Bootstrap& bootstrap = {});

}  // namespace sp2dpo::stats
