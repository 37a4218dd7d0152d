// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/gaps.hpp>
#include <sp2dpo/schedule/spooled_gaps.hpp>
#include <sp2dpo/schedule/vote_table.hpp>

namespace sp2dpo {

namespace detail {

/// Adds the gaps of the pairs with numbers in [first, last) to `gaps`, Gaps or SpooledGaps.
template <Aggregator A, class G>
[[nodiscard]] G aggregated(const VoteTable& votes, const A& aggregator, std::size_t first,
                           std::size_t last, G gaps) {
  PairGap pair;
  votes.visit(
      [&](std::string_view id, std::span<const Annotation> annotations) {
        pair.id = id;
        pair.gap = std::nullopt;
        if (!annotations.empty()) pair.gap = aggregator(annotations);
        pair.n_annotations = static_cast<int>(annotations.size());
        gaps.add(pair);
      },
      first, last);
  return gaps;
}

}  // namespace detail

/// Makes the gap of every pair from its annotations; a pair with too few of them has none.
template <Aggregator A>
[[nodiscard]] Gaps aggregate(const VoteTable& votes, const A& aggregator) {
  return detail::aggregated(votes, aggregator, 0, VoteTable::unlimited, Gaps(votes.categories()));
}

/// Makes the gaps of the pairs with numbers in [first, last), in a temporary file. Several threads
/// may take a range of the pairs each; SpooledGaps::append() joins the results.
template <Aggregator A>
[[nodiscard]] SpooledGaps aggregate_spooled(const VoteTable& votes, const A& aggregator,
                                            std::size_t first = 0,
                                            std::size_t last = VoteTable::unlimited) {
  return detail::aggregated(votes, aggregator, first, last, SpooledGaps(votes.categories()));
}

}  // namespace sp2dpo
