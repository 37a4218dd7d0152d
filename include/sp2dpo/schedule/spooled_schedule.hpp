// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <sp2dpo/schedule/detail/spool.hpp>
#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo {

/// A schedule in a temporary file, for a corpus that should not be held in memory: it can be read
/// front to back only. The caller must keep ids unique (see PairIds). A const SpooledSchedule may
/// be read from several threads.
///
///     const SpooledSchedule schedule = map_gaps(aggregate_spooled(votes, Jmamp{}), Linear{});
///     io::write_schedule("schedule.jsonl", schedule, manifest);
class SpooledSchedule {
 public:
  explicit SpooledSchedule(Categories categories = {}) : categories_(std::move(categories)) {}

  /// Throws InvalidArgument for the reasons that Schedule names, duplicates apart, and Error if the
  /// temporary file cannot be written.
  void add(const ScheduleEntry& entry);

  /// The categories that the entries refer to.
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  /// Number of entries.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// True if the entries carry weights.
  [[nodiscard]] bool has_weights() const noexcept { return weighted_; }

  /// Reads the entries in order. The schedule must outlive it and must not grow meanwhile.
  class Cursor {
   public:
    explicit Cursor(const SpooledSchedule& schedule)
        : weighted_(schedule.weighted_), left_(schedule.size_), reader_(schedule.spool_) {}

    /// Returns false after the last entry. Reuses the memory of `entry`.
    bool next(ScheduleEntry& entry);

   private:
    bool weighted_;
    std::size_t left_;
    detail::Spool::Reader reader_;
  };

  /// Calls visit(entry) for every entry in order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    ScheduleEntry entry;
    for (Cursor cursor(*this); cursor.next(entry);) visit(std::as_const(entry));
  }

  /// Returns a copy in which change(entry) was applied to every entry.
  template <class Change>
  [[nodiscard]] SpooledSchedule changed(const Change& change) const {
    SpooledSchedule schedule(categories_);
    ScheduleEntry entry;
    for (Cursor cursor(*this); cursor.next(entry);) {
      change(entry);
      schedule.add(entry);
    }
    return schedule;
  }

 private:
  Categories categories_;
  detail::Spool spool_;
  std::size_t size_ = 0;
  std::string first_;  // the first entry's id
  bool weighted_ = false;
};

}  // namespace sp2dpo
