// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::stats {

/// Returns the rank of each value, from 1. Equal values share the mean of their ranks.
[[nodiscard]] std::vector<double> mid_ranks(std::span<const double> values);

/// Computes Spearman's rank correlation of a and b, [n] each, with mid-ranks for ties. It is
/// undefined if either list is constant. Throws InvalidArgument for lists of different lengths.
[[nodiscard]] Estimate spearman(std::span<const double> a, std::span<const double> b);

/// Computes Kendall's tau-b in O(n log n). It is undefined and throws under the same conditions as
/// spearman().
[[nodiscard]] Estimate kendall_tau_b(std::span<const double> a, std::span<const double> b);

}  // namespace sp2dpo::stats
