// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <sp2dpo/schedule/schedule.hpp>

sp2dpo::Schedule take(sp2dpo::Schedule& schedule) {
#ifdef SP2DPO_WRONG
  return schedule;  // its index would point into the original
#else
  return std::move(schedule);
#endif
}
