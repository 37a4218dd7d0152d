// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

#include <sp2dpo/schedule/detail/spool.hpp>
#include <sp2dpo/schedule/gaps.hpp>
#include <sp2dpo/schedule/map_gaps.hpp>
#include <sp2dpo/schedule/spooled_schedule.hpp>

namespace sp2dpo {

/// Gaps in a temporary file, for a corpus that should not be held in memory. A const SpooledGaps
/// may be read from several threads.
class SpooledGaps {
 public:
  explicit SpooledGaps(Categories categories = {}) : categories_(std::move(categories)) {}

  /// Throws Error if the temporary file cannot be written.
  void add(const PairGap& pair);
  /// Appends the pairs of another table without copying them.
  void append(SpooledGaps&& other);

  /// The categories that the gaps refer to.
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  /// All pairs, with a gap or without.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Pairs without a gap.
  [[nodiscard]] std::size_t n_missing() const noexcept { return n_missing_; }

  /// Reads the pairs in order. The table must outlive it and must not grow meanwhile.
  class Cursor {
   public:
    explicit Cursor(const SpooledGaps& gaps) : left_(gaps.size_), reader_(gaps.spool_) {}

    /// Returns false after the last pair. Reuses the memory of `pair`.
    bool next(PairGap& pair);

   private:
    std::size_t left_;
    detail::Spool::Reader reader_;
  };

  /// Calls visit(pair) for every pair in order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    PairGap pair;
    for (Cursor cursor(*this); cursor.next(pair);) visit(std::as_const(pair));
  }

  /// Returns a copy in which change(pair) was applied to every pair.
  template <class Change>
  [[nodiscard]] SpooledGaps changed(const Change& change) const {
    SpooledGaps gaps(categories_);
    PairGap pair;
    for (Cursor cursor(*this); cursor.next(pair);) {
      change(pair);
      gaps.add(pair);
    }
    return gaps;
  }

 private:
  Categories categories_;
  detail::Spool spool_;
  std::size_t size_ = 0;
  std::size_t n_missing_ = 0;
};

static_assert(GapTable<SpooledGaps>);

/// Maps every gap to a beta, with the schedule in a temporary file. Throws like map_gaps() of Gaps.
template <BetaMapper M>
[[nodiscard]] SpooledSchedule map_gaps(const SpooledGaps& gaps, const M& to_beta,
                                       const Missing& missing = {}) {
  return detail::mapped(gaps, to_beta, missing, SpooledSchedule(gaps.categories()));
}

}  // namespace sp2dpo
