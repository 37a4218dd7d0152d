// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo {

const Categories& ScheduleView::categories() const noexcept {
  return in_memory_ != nullptr ? in_memory_->categories() : spooled_->categories();
}

std::size_t ScheduleView::size() const noexcept {
  return in_memory_ != nullptr ? in_memory_->size() : spooled_->size();
}

bool ScheduleView::has_weights() const noexcept {
  return in_memory_ != nullptr ? in_memory_->has_weights() : spooled_->has_weights();
}

void ScheduleView::for_each(const std::function<void(const ScheduleEntry&)>& visit) const {
  if (in_memory_ != nullptr)
    in_memory_->for_each(visit);
  else
    spooled_->for_each(visit);
}

}  // namespace sp2dpo
