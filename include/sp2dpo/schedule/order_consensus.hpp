// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/aggregator.hpp>

namespace sp2dpo {

/// Removes position bias: applies another aggregator to the answers that were asked in both orders,
/// an answer being one annotator's under one prompt. If an answer's mean signed gap has another
/// sign in the other order, the verdict follows the position, not the text, and becomes a tie or is
/// dropped. Annotations asked in one order only, or without a recorded order, do not count.
template <Aggregator A>
struct OrderConsensus {
  /// Counts such an answer as a tie, or drops it.
  enum class Otherwise : std::uint8_t { tie, drop };

  Otherwise otherwise = Otherwise::tie;  ///< what to do with an answer that depends on the order
  A aggregate{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    // Signed gaps by answer and order, sorted below so that a sum does not depend on the file's
    // order.
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

}  // namespace sp2dpo
