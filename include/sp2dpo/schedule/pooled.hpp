// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <sp2dpo/schedule/aggregator.hpp>

namespace sp2dpo {

/// The mean without the floor(share · n) smallest and as many largest of n values. Reorders
/// `values`; throws InvalidArgument if they are empty or the share lies outside [0, 0.5).
struct TrimmedMean {
  double share = 0.2;  ///< in [0, 0.5): trimmed at either end

  [[nodiscard]] double operator()(std::span<double> values) const {
    detail::require(0 <= share && share < 0.5,
                    "the share trimmed at either end must lie in [0, 0.5), not {}", share);
    const auto cut = static_cast<std::size_t>(share * static_cast<double>(values.size()));
    std::ranges::sort(values);
    return Mean{}(values.subspan(cut, values.size() - 2 * cut));
  }
};

/// Applies one statistic to all answers of a panel, one per annotator and prompt, so that an
/// annotator with more prompts weighs more. The spread compares the annotators' own gaps, which are
/// the same statistic over each one's prompts.
template <class Statistic>
struct Pooled {
  int min_annotators = 1;  ///< see PanelRules
  int min_prompts = 1;
  std::vector<double> category_weights{};
  Statistic statistic{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    auto panel = gather_panel(votes, {min_annotators, min_prompts, category_weights}, statistic);
    if (!panel) return std::nullopt;
    panel->gap.value = statistic(std::span<double>(panel->answers));
    return panel->gap;
  }
};

/// Median of all answers.
using PooledMedian = Pooled<Median>;
/// Trimmed mean of all answers.
using PooledTrimmedMean = Pooled<TrimmedMean>;

}  // namespace sp2dpo
