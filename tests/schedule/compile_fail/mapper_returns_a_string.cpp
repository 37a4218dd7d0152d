// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <sp2dpo/schedule/map_gaps.hpp>

#ifdef SP2DPO_WRONG
using Beta = std::string;
#else
using Beta = double;
#endif

sp2dpo::Schedule make(const sp2dpo::Gaps& gaps) {
  return sp2dpo::map_gaps(gaps, [](const sp2dpo::SemanticGap&) { return Beta{}; });
}
