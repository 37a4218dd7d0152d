// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule_builder.hpp>

#ifdef SP2DPO_WRONG
using Votes = std::vector<sp2dpo::Annotation>&;  // could change them, and forces a copy
#else
using Votes = std::span<const sp2dpo::Annotation>;
#endif

sp2dpo::Schedule make(const sp2dpo::ScheduleBuilder& builder) {
  const auto aggregate = [](Votes votes) -> std::optional<sp2dpo::SemanticGap> {
    return sp2dpo::SemanticGap{.value = votes[0].magnitude};
  };
  return builder.build(aggregate, sp2dpo::Linear());
}
