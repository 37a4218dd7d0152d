// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>

#include <sp2dpo/schedule/aggregator.hpp>

namespace sp2dpo {

/// Applies another aggregator and replaces the gap's category by the one that `category(votes)`
/// returns, an std::optional<Category>; nullopt keeps the aggregator's own.
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

}  // namespace sp2dpo
