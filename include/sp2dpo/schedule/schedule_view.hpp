// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include <sp2dpo/schedule/schedule.hpp>
#include <sp2dpo/schedule/spooled_schedule.hpp>

namespace sp2dpo {

/// A schedule wherever it lies, to be gone through from front to back: what writers, joins and
/// reports take. The schedule must outlive it.
class ScheduleView {
 public:
  using Visit = std::function<void(const ScheduleEntry&)>;
  using Find = std::function<const ScheduleEntry*(std::string_view id)>;

  ScheduleView(const Schedule& schedule)  // NOLINT: a schedule is one to be seen
      : ScheduleView(&schedule, [&schedule] {
          return Find([&schedule](std::string_view id) { return schedule.find(id); });
        }) {}

  ScheduleView(const SpooledSchedule& schedule)  // NOLINT: as above
      : ScheduleView(&schedule, [&schedule] { return in_step(schedule); }) {}

  [[nodiscard]] const Categories& categories() const noexcept { return *categories_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool has_weights() const noexcept { return has_weights_; }

  void for_each(const Visit& visit) const { for_each_(visit); }

  /// find(id): the pair's entry until the next call, or null where there is none. A schedule that
  /// is not in memory finds only what is asked for in its own order.
  [[nodiscard]] Find finder() const { return finder_(); }

 private:
  template <class S>
  ScheduleView(const S* schedule, std::function<Find()> finder)
      : categories_(&schedule->categories()),
        size_(schedule->size()),
        has_weights_(schedule->has_weights()),
        for_each_([schedule](const Visit& visit) { schedule->for_each(visit); }),
        finder_(std::move(finder)) {}

  static Find in_step(const SpooledSchedule& schedule) {
    struct Place {
      SpooledSchedule::Cursor cursor;
      ScheduleEntry entry{};
      bool there = false;  // an entry that nobody has asked for
    };
    auto place = std::make_shared<Place>(Place{SpooledSchedule::Cursor(schedule)});
    return [place](std::string_view id) -> const ScheduleEntry* {
      if (!place->there) place->there = place->cursor.next(place->entry);
      if (!place->there || place->entry.id != id) return nullptr;
      place->there = false;
      return &place->entry;
    };
  }

  const Categories* categories_;
  std::size_t size_;
  bool has_weights_;
  std::function<void(const Visit&)> for_each_;
  std::function<Find()> finder_;
};

}  // namespace sp2dpo
