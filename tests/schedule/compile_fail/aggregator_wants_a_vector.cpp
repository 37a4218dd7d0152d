// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <sp2dpo/schedule/aggregate.hpp>
#include <sp2dpo/schedule/map_gaps.hpp>

#ifdef SP2DPO_WRONG
using Votes = std::vector<sp2dpo::Annotation>&;  // could change them, and forces a copy
#else
using Votes = std::span<const sp2dpo::Annotation>;
#endif

sp2dpo::Gaps make(const sp2dpo::VoteTable& votes_by_pair) {
  const auto first = [](Votes votes) -> std::optional<sp2dpo::SemanticGap> {
    return sp2dpo::SemanticGap{.value = votes[0].magnitude};
  };
  return sp2dpo::aggregate(votes_by_pair, first);
}
