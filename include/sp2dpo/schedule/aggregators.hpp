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
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/jmamp.hpp>

/// Aggregators beside Jmamp (docs/aggregators.md). The inner step is over prompts, the outer one
/// over annotators.
namespace sp2dpo {

using MeanMean = PromptsThenAnnotators<Mean, Mean>;
using MedianMedian = PromptsThenAnnotators<Median, Median>;
/// Mean over the prompts, median over the annotators.
using MeanMedian = PromptsThenAnnotators<Mean, Median>;

/// The mean without the floor(share · n) smallest and as many largest values. Reorders what it is
/// given.
struct TrimmedMean {
  double share = 0.2;  ///< in [0, 0.5): left out at either end

  [[nodiscard]] double operator()(std::span<double> values) const {
    detail::require(0 <= share && share < 0.5,
                    "the share trimmed at either end must lie in [0, 0.5), not {}", share);
    const auto cut = static_cast<std::size_t>(share * static_cast<double>(values.size()));
    std::ranges::sort(values);
    return Mean{}(values.subspan(cut, values.size() - 2 * cut));
  }
};

/// One statistic over all of a panel's answers, one an annotator and prompt: an annotator that
/// answered more prompts weighs more. An annotator's own gap, for the spread, is the same statistic
/// of its prompts.
template <class Statistic>
struct Pooled {
  int min_annotators = 1;  ///< as PanelRules has them
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

using PooledMedian = Pooled<Median>;
using PooledTrimmedMean = Pooled<TrimmedMean>;

/// Another aggregator's gap of the annotations by one annotator, under one prompt, or both. No gap
/// of a pair that has none of these.
///
///     Single<Jmamp>{.annotator = "teacher-a"}   // the median over its prompts
template <Aggregator A>
struct Single {
  std::string annotator{};  ///< empty: all of them
  std::string prompt{};     ///< empty: all of them
  A aggregate{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    std::vector<Annotation> kept;
    for (const auto& vote : votes)
      if ((annotator.empty() || vote.annotator == annotator) &&
          (prompt.empty() || vote.prompt == prompt))
        kept.push_back(vote);
    if (kept.empty()) return std::nullopt;
    return aggregate(std::span<const Annotation>(kept));
  }
};

/// Another aggregator's gap of the answers that were asked in both orders, where each answer is one
/// annotator's under one prompt. A verdict that turns with the order (a mean signed gap of another
/// sign) is about the place, not the text: it counts as a tie, or not at all. What was asked in one
/// order, or has no order on record, does not count.
template <Aggregator A>
struct OrderConsensus {
  enum class Otherwise : std::uint8_t { tie, drop };

  Otherwise otherwise = Otherwise::tie;  ///< what a verdict becomes that turns with the order
  A aggregate{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    // Signed gaps by answer and order. Sorted, so that a sum does not depend on the file's order.
    std::map<std::pair<std::string_view, std::string_view>, std::vector<double>[2]> answers;
    for (const auto& vote : votes)
      if (vote.order)
        answers[{vote.annotator, vote.prompt}][static_cast<std::size_t>(*vote.order)].push_back(
            signed_gap(vote));
    const auto sign = [](std::vector<double>& gaps) {
      std::ranges::sort(gaps);
      const double mean = Mean{}(gaps);
      return (mean > 0) - (mean < 0);
    };
    std::map<std::pair<std::string_view, std::string_view>, bool> agrees;
    for (auto& [answer, gaps] : answers)
      if (!gaps[0].empty() && !gaps[1].empty()) agrees[answer] = sign(gaps[0]) == sign(gaps[1]);

    std::vector<Annotation> kept;
    for (const auto& vote : votes) {
      const auto answer = agrees.find({vote.annotator, vote.prompt});
      if (!vote.order || answer == agrees.end()) continue;
      if (!answer->second && otherwise == Otherwise::drop) continue;
      kept.push_back(vote);
      if (!answer->second) kept.back().preferred = Preferred::tie;
    }
    if (kept.empty()) return std::nullopt;
    return aggregate(std::span<const Annotation>(kept));
  }
};

/// Another aggregator's gap, under the category that `category(votes)` names instead of the one
/// that most annotators do; nullopt from there leaves it as it is.
template <Aggregator A, class ChooseCategory>
struct WithCategory {
  A aggregate{};
  ChooseCategory category{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    auto gap = aggregate(votes);
    if (gap) gap->category = std::optional<Category>(category(votes)).value_or(gap->category);
    return gap;
  }
};

static_assert(Aggregator<MeanMean> && Aggregator<PooledMedian> && Aggregator<Single<Jmamp>> &&
              Aggregator<OrderConsensus<Jmamp>>);

}  // namespace sp2dpo
