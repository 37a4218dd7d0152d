// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/panel_gaps.hpp>

namespace sp2dpo {

/// Combines the annotations of one pair (at least one) into a gap, or returns nullopt if they are
/// too few. An aggregator is a pure function: a lambda will do, and so will a std::function if the
/// choice is made at run time.
template <class A>
concept Aggregator = requires(const A& aggregate, std::span<const Annotation> votes) {
  { aggregate(votes) } -> std::same_as<std::optional<SemanticGap>>;
};

/// The middle value, or the mean of the two middle ones if their count is even. Reorders `values`;
/// throws InvalidArgument if they are empty.
struct Median {
  [[nodiscard]] double operator()(std::span<double> values) const {
    detail::require(!values.empty(), "the median of no values");
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) return *middle;
    return (*std::max_element(values.begin(), middle) + *middle) / 2;
  }
};

/// The arithmetic mean. Throws InvalidArgument if `values` is empty.
struct Mean {
  [[nodiscard]] double operator()(std::span<double> values) const {
    detail::require(!values.empty(), "the mean of no values");
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
};

/// Aggregates in two steps: one statistic over each annotator's prompts, then another over the
/// annotators. gather_panel() decides which annotators count and names the category.
template <class OverPrompts, class OverAnnotators>
struct PromptsThenAnnotators {
  int min_annotators = 1;  ///< see PanelRules
  int min_prompts = 1;
  std::vector<double> category_weights{};
  OverPrompts over_prompts{};
  OverAnnotators over_annotators{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    auto panel = gather_panel(votes, {min_annotators, min_prompts, category_weights}, over_prompts);
    if (!panel) return std::nullopt;
    panel->gap.value = over_annotators(std::span<double>(panel->annotators));
    return panel->gap;
  }
};

/// The aggregator of SP²DPO (arXiv:2601.22385): median over the prompt variants, mean over the
/// annotators.
using Jmamp = PromptsThenAnnotators<Median, Mean>;
/// Mean over the prompt variants, mean over the annotators.
using MeanMean = PromptsThenAnnotators<Mean, Mean>;
/// Median over the prompt variants, median over the annotators.
using MedianMedian = PromptsThenAnnotators<Median, Median>;
/// Mean over the prompt variants, median over the annotators.
using MeanMedian = PromptsThenAnnotators<Mean, Median>;

static_assert(Aggregator<Jmamp>);

}  // namespace sp2dpo
