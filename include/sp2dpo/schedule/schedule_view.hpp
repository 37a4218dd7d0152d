// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

#include <sp2dpo/schedule/schedule.hpp>
#include <sp2dpo/schedule/spooled_schedule.hpp>

namespace sp2dpo {

/// A reference to a Schedule or a SpooledSchedule, which must outlive it: the parameter of writers,
/// joins and reports.
class ScheduleView {
 public:
  ScheduleView(const Schedule& schedule) : in_memory_(&schedule) {}       // NOLINT: implicit
  ScheduleView(const SpooledSchedule& schedule) : spooled_(&schedule) {}  // NOLINT: implicit

  /// The categories that the entries refer to.
  [[nodiscard]] const Categories& categories() const noexcept;
  /// Number of entries.
  [[nodiscard]] std::size_t size() const noexcept;
  /// True if the entries carry weights.
  [[nodiscard]] bool has_weights() const noexcept;

  /// Calls visit(entry) for every entry in order.
  void for_each(const std::function<void(const ScheduleEntry&)>& visit) const;

  /// The schedule that is viewed; the other of the two is null.
  [[nodiscard]] const Schedule* in_memory() const noexcept { return in_memory_; }
  /// The schedule if it is spooled, else null.
  [[nodiscard]] const SpooledSchedule* spooled() const noexcept { return spooled_; }

 private:
  const Schedule* in_memory_ = nullptr;
  const SpooledSchedule* spooled_ = nullptr;
};

}  // namespace sp2dpo
