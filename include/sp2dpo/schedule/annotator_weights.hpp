// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/aggregator.hpp>

/// Annotators with different weights: given by the caller, or by how well each agrees with the rest
/// of the panel.
namespace sp2dpo {

/// A weight >= 0 by annotator.
using AnnotatorWeights = std::map<std::string, double, std::less<>>;

/// Applies a statistic over each annotator's prompts, then takes the weighted mean over the
/// annotators that answered. Returns nullopt if their weights are all 0; throws InvalidArgument for
/// an annotator without a weight.
template <class OverPrompts>
struct WeightedAnnotators {
  int min_annotators = 1;  ///< see PanelRules
  int min_prompts = 1;
  std::vector<double> category_weights{};
  AnnotatorWeights weights{};
  OverPrompts over_prompts{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    auto panel = gather_panel(votes, {min_annotators, min_prompts, category_weights}, over_prompts);
    if (!panel) return std::nullopt;
    double sum = 0, all = 0;
    for (std::size_t i = 0; i < panel->names.size(); ++i) {
      const auto weight = weights.find(panel->names[i]);
      detail::require(weight != weights.end(), "annotator {} has no weight", panel->names[i]);
      sum += weight->second * panel->annotators[i];
      all += weight->second;
    }
    if (!(all > 0)) return std::nullopt;
    panel->gap.value = sum / all;
    return panel->gap;
  }
};

/// Jmamp with a weight for each annotator.
using WeightedJmamp = WeightedAnnotators<Median>;

static_assert(Aggregator<WeightedJmamp>);

/// Measures how well each annotator agrees with the others: the correlation of its gaps (the median
/// over its prompts) with the mean of the others' gaps, over the pairs that another annotator
/// judged too. Memory grows with the number of annotators, not of pairs.
class LeaveOneOut {
 public:
  /// How one annotator agrees with the others.
  struct Agreement {
    std::int64_t n{};                     ///< pairs that another annotator judged too
    std::optional<double> correlation{};  ///< Pearson's; empty if a side is constant
  };

  /// Adds one pair's annotations.
  void add(std::span<const Annotation> votes) {
    const auto panel = gather_panel(votes, {}, Median{});
    if (!panel) return;
    const auto& gaps = panel->annotators;
    for (std::size_t i = 0; i < gaps.size(); ++i) {
      auto place = moments_.find(panel->names[i]);
      if (place == moments_.end()) place = moments_.try_emplace(std::string(panel->names[i])).first;
      if (gaps.size() < 2) continue;
      double others = 0;  // subtracting from the total would cancel digits
      for (std::size_t j = 0; j < gaps.size(); ++j)
        if (j != i) others += gaps[j];
      place->second.add(gaps[i], others / static_cast<double>(gaps.size() - 1));
    }
  }

  /// The agreement of every annotator seen.
  [[nodiscard]] std::map<std::string, Agreement, std::less<>> by_annotator() const {
    std::map<std::string, Agreement, std::less<>> result;
    for (const auto& [annotator, m] : moments_) {
      Agreement agreement{.n = m.n};
      if (m.xx > 0 && m.yy > 0)
        agreement.correlation = std::clamp(m.xy / std::sqrt(m.xx) / std::sqrt(m.yy), -1.0, 1.0);
      result.emplace(annotator, agreement);
    }
    return result;
  }

  /// Returns the correlations, with negative ones set to 0. Throws InvalidArgument that names an
  /// annotator whose correlation is undefined, or if no annotator agrees with the others.
  [[nodiscard]] AnnotatorWeights weights() const {
    AnnotatorWeights weights;
    double sum = 0;
    for (const auto& [annotator, agreement] : by_annotator()) {
      detail::require(agreement.correlation.has_value(),
                      "the agreement of the annotator {} with the others is undefined: {}",
                      annotator,
                      agreement.n < 2 ? "fewer than two pairs were judged by another annotator too"
                                      : "its gaps, or the others', are all equal");
      sum += weights[annotator] = std::max(0.0, *agreement.correlation);
    }
    detail::require(sum > 0, "no annotator agrees with the others: every weight would be 0");
    return weights;
  }

 private:
  struct Moments {
    std::int64_t n = 0;
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0;  // means, and sums of squares around them

    void add(double a, double b) {
      ++n;
      const double da = a - x, db = b - y;
      x += da / static_cast<double>(n);
      y += db / static_cast<double>(n);
      xx += da * (a - x);
      yy += db * (b - y);
      xy += da * (b - y);
    }
  };

  std::map<std::string, Moments, std::less<>> moments_;
};

}  // namespace sp2dpo
