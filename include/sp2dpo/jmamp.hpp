// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include <sp2dpo/aggregator.hpp>
#include <sp2dpo/detail/require.hpp>

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

/// The gap of one annotator under one prompt: the mean over its orders and samples.
struct PanelGap {
  std::string_view annotator;
  std::string_view prompt;
  double gap;
};

/// One PanelGap per annotator and prompt that answered, sorted by annotator, then prompt. The views
/// point into `votes`. `weights[c]` multiplies the gaps of category c; none given = 1 for all.
[[nodiscard]] inline std::vector<PanelGap> panel_gaps(std::span<const Annotation> votes,
                                                      std::span<const double> weights = {}) {
  std::vector<PanelGap> gaps;
  gaps.reserve(votes.size());
  for (const auto& vote : votes) {
    const auto category = static_cast<std::size_t>(vote.category);
    detail::require(weights.empty() || category < weights.size(),
                    "pair {}: there is no weight for category number {}", vote.pair_id, category);
    gaps.push_back(
        {vote.annotator, vote.prompt, signed_gap(vote, weights.empty() ? 1.0 : weights[category])});
  }
  // The gap takes part in the order, so that a sum does not depend on the order of the file.
  std::ranges::sort(gaps, [](const PanelGap& a, const PanelGap& b) {
    return std::tie(a.annotator, a.prompt, a.gap) < std::tie(b.annotator, b.prompt, b.gap);
  });
  std::size_t kept = 0;
  for (std::size_t begin = 0, end = 0; begin < gaps.size(); begin = end) {
    PanelGap cell = gaps[begin];
    for (end = begin + 1; end < gaps.size() && gaps[end].annotator == cell.annotator &&
                          gaps[end].prompt == cell.prompt;
         ++end)
      cell.gap += gaps[end].gap;
    cell.gap /= static_cast<double>(end - begin);
    gaps[kept++] = cell;
  }
  gaps.resize(kept);
  return gaps;
}

/// Puts a panel's gaps together in two steps: over an annotator's prompts, then over the
/// annotators. What is missing stays missing: an annotator without an answer takes no part. The
/// category is the one that most of the annotations that count name; among equals, the one of
/// highest priority.
template <class OverPrompts, class OverAnnotators>
struct PromptsThenAnnotators {
  int min_annotators = 1;  ///< fewer annotators that count: no gap
  int min_prompts = 1;     ///< an annotator that answered fewer prompts does not count
  std::vector<double> category_weights{};  ///< ω by category; empty = 1 for all
  OverPrompts over_prompts{};
  OverAnnotators over_annotators{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    const auto cells = panel_gaps(votes, category_weights);
    std::vector<std::string_view> names;  // of the annotators that count, sorted
    std::vector<double> gaps;             // theirs
    std::vector<double> prompts;
    for (std::size_t begin = 0, end = 0; begin < cells.size(); begin = end) {
      prompts.clear();
      for (end = begin; end < cells.size() && cells[end].annotator == cells[begin].annotator; ++end)
        prompts.push_back(cells[end].gap);
      if (std::ssize(prompts) < min_prompts) continue;
      names.push_back(cells[begin].annotator);
      gaps.push_back(over_prompts(prompts));
    }
    if (gaps.empty() || std::ssize(gaps) < min_annotators) return std::nullopt;

    SemanticGap gap{.n_annotators = static_cast<int>(gaps.size())};
    std::array<int, 256> named{};
    for (const auto& vote : votes) {
      if (!std::ranges::binary_search(names, std::string_view(vote.annotator))) continue;
      ++gap.n_annotations;
      ++named[static_cast<std::size_t>(vote.category)];
    }
    gap.category = static_cast<Category>(std::ranges::max_element(named) - named.begin());
    const auto [low, high] = std::ranges::minmax(gaps);
    gap.spread = high - low;
    gap.value = over_annotators(gaps);
    return gap;
  }
};

/// SP²DPO's aggregate (arXiv:2601.22385): median over the prompt variants, mean over the
/// annotators.
using Jmamp = PromptsThenAnnotators<Median, Mean>;

static_assert(Aggregator<Jmamp>);

}  // namespace sp2dpo
