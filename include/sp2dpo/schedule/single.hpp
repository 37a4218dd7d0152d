// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/schedule/aggregator.hpp>

namespace sp2dpo {

/// Applies another aggregator to the annotations by one annotator, under one prompt, or both. A
/// pair without such annotations has no gap.
///
///     Single<Jmamp>{.annotator = "judge-a"}   // the median over its prompts
template <Aggregator A>
struct Single {
  std::string annotator{};  ///< empty: all annotators
  std::string prompt{};     ///< empty: all prompts
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

}  // namespace sp2dpo
