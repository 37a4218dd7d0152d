// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::stats {

/// Each value's place in the sorted list, from 1; equal values share the mean of theirs.
[[nodiscard]] std::vector<double> mid_ranks(std::span<const double> values);

/// Spearman's rank correlation of a and b, [n] each, ties by mid-ranks. Undefined where a side is
/// constant. Throws InvalidArgument for lists of different lengths.
[[nodiscard]] Estimate spearman(std::span<const double> a, std::span<const double> b);

/// Kendall's tau-b in O(n log n). Undefined and throwing as spearman().
[[nodiscard]] Estimate kendall_tau_b(std::span<const double> a, std::span<const double> b);

}  // namespace sp2dpo::stats
