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

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo {

/// The gap of one annotator under one prompt: the mean over its orders and samples.
struct PanelGap {
  std::string_view annotator;
  std::string_view prompt;
  double gap;
};

/// Returns one PanelGap for each annotator and prompt of the pair, sorted by annotator, then
/// prompt. The views point into `votes`. `weights[c]` multiplies the gaps of category c; an empty
/// span leaves them as they are.
[[nodiscard]] inline std::vector<PanelGap> panel_gaps(std::span<const Annotation> votes,
                                                      std::span<const double> weights = {}) {
  std::vector<PanelGap> gaps;
  gaps.reserve(votes.size());
  for (const auto& vote : votes) {
    const auto category = static_cast<std::size_t>(vote.category);
    detail::require(weights.empty() || category < weights.size(),
                    "pair {}: category number {} has no weight", vote.pair_id, category);
    gaps.push_back(
        {vote.annotator, vote.prompt, signed_gap(vote, weights.empty() ? 1.0 : weights[category])});
  }
  // The order includes the gap, so that a sum does not depend on the order of the file.
  const auto before = [](const PanelGap& a, const PanelGap& b) {
    return std::tie(a.annotator, a.prompt, a.gap) < std::tie(b.annotator, b.prompt, b.gap);
  };
  if (!std::ranges::is_sorted(gaps, before)) std::ranges::sort(gaps, before);
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

/// Which annotators count, and how much each category weighs.
struct PanelRules {
  int min_annotators = 1;  ///< a pair with fewer annotators that count has no gap
  int min_prompts = 1;     ///< an annotator with fewer prompts does not count
  std::span<const double> category_weights{};  ///< factor of the gap by category; empty = 1 for all
};

/// The gaps of one pair's panel before the last step, in which an aggregator combines them.
struct PanelGaps {
  SemanticGap gap{};                      ///< complete except for its value
  std::vector<std::string_view> names{};  ///< the annotators that count, sorted
  std::vector<double> annotators{};       ///< one gap per name
  std::vector<double> answers{};          ///< one gap per name and prompt, grouped by name
};

/// Combines each annotator's prompts into one gap with `over_prompts`; returns nullopt if too few
/// annotators count. An annotator without an answer takes no part: nothing is imputed. The category
/// is the one that most of the counted annotations name; the one of highest priority breaks ties.
template <class OverPrompts>
[[nodiscard]] std::optional<PanelGaps> gather_panel(std::span<const Annotation> votes,
                                                    const PanelRules& rules,
                                                    const OverPrompts& over_prompts) {
  const auto cells = panel_gaps(votes, rules.category_weights);
  PanelGaps panel;
  auto& names = panel.names;
  std::vector<double> prompts;
  names.reserve(cells.size());
  panel.annotators.reserve(cells.size());
  panel.answers.reserve(cells.size());
  prompts.reserve(cells.size());
  bool all_count = true;
  for (std::size_t begin = 0, end = 0; begin < cells.size(); begin = end) {
    prompts.clear();
    for (end = begin; end < cells.size() && cells[end].annotator == cells[begin].annotator; ++end)
      prompts.push_back(cells[end].gap);
    if (std::ssize(prompts) < rules.min_prompts) {
      all_count = false;
      continue;
    }
    names.push_back(cells[begin].annotator);
    panel.answers.insert(panel.answers.end(), prompts.begin(), prompts.end());
    panel.annotators.push_back(over_prompts(prompts));
  }
  if (names.empty() || std::ssize(names) < rules.min_annotators) return std::nullopt;

  panel.gap.n_annotators = static_cast<int>(names.size());
  std::array<int, 256> named{};
  std::size_t last = 0;
  for (const auto& vote : votes) {
    if (!all_count && !std::ranges::binary_search(names, std::string_view(vote.annotator)))
      continue;
    ++panel.gap.n_annotations;
    const auto category = static_cast<std::size_t>(vote.category);
    ++named[category];
    last = std::max(last, category);
  }
  const auto most = std::max_element(named.begin(), named.begin() + last + 1);
  panel.gap.category = static_cast<Category>(most - named.begin());
  const auto [low, high] = std::ranges::minmax(panel.annotators);
  panel.gap.spread = high - low;
  return panel;
}

}  // namespace sp2dpo
