// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <optional>
#include <span>

#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo {

/// Makes one gap of one pair's annotations (never none of them); nullopt where they are too few to
/// say anything. A pure function: a lambda is an Aggregator, and so is std::function where the
/// choice is made at run time.
template <class A>
concept Aggregator = requires(const A& aggregate, std::span<const Annotation> votes) {
  { aggregate(votes) } -> std::same_as<std::optional<SemanticGap>>;
};

}  // namespace sp2dpo
