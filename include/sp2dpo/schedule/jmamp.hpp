// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/panel.hpp>

namespace sp2dpo {

/// The middle value; the mean of the two middle ones for an even count. Reorders what it is given.
struct Median {
  [[nodiscard]] double operator()(std::span<double> values) const {
    detail::require(!values.empty(), "the median of no values");
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) return *middle;
    return (*std::max_element(values.begin(), middle) + *middle) / 2;
  }
};

struct Mean {
  [[nodiscard]] double operator()(std::span<double> values) const {
    detail::require(!values.empty(), "the mean of no values");
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
};

/// Puts a panel's gaps together in two steps: over an annotator's prompts, then over the
/// annotators (gather_panel() says who counts, and which category it is).
template <class OverPrompts, class OverAnnotators>
struct PromptsThenAnnotators {
  int min_annotators = 1;  ///< as PanelRules has them
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

/// SP²DPO's aggregate (arXiv:2601.22385): median over the prompt variants, mean over the
/// annotators.
using Jmamp = PromptsThenAnnotators<Median, Mean>;

static_assert(Aggregator<Jmamp>);

}  // namespace sp2dpo
