// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <sp2dpo/schedule/jmamp.hpp>
#include <sp2dpo/schedule/schedule_builder.hpp>

#ifdef SP2DPO_WRONG
using Beta = std::string;
#else
using Beta = double;
#endif

sp2dpo::Schedule make(const sp2dpo::ScheduleBuilder& builder) {
  return builder.build(sp2dpo::Jmamp{}, [](const sp2dpo::SemanticGap&) { return Beta{}; });
}
