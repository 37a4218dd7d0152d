// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/detail/temporary_file.hpp>
#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo {

/// A schedule in a temporary file, to be gone through from front to back: what is larger than
/// memory should hold. That no id is there twice is for the giver to see to (PairIds).
///
///     SpooledSchedule schedule;
///     builder.for_each_entry(Jmamp{}, Linear{}, {}, [&](std::string_view, ScheduleEntry* entry) {
///       if (entry != nullptr) schedule.add(*entry);
///     });
///     io::write_schedule("schedule.jsonl", schedule, manifest);
class SpooledSchedule {
 public:
  explicit SpooledSchedule(Categories categories = {}) : categories_(std::move(categories)) {}

  /// Throws InvalidArgument as Schedule does, Error where there is no room for the file.
  void add(const ScheduleEntry& entry) {
    if (size_ == 0) {
      first_ = entry.id;
      weighted_ = entry.weight.has_value();
    }
    detail::check(entry, first_, weighted_, categories_);
    const SemanticGap gap = entry.gap.value_or(SemanticGap{});
    const Record record{entry.beta,        gap.value,
                        gap.spread,        entry.weight.value_or(0),
                        entry.id.size(),   gap.n_annotators,
                        gap.n_annotations, gap.category,
                        entry.clipped,     entry.gap.has_value()};
    const auto* const bytes = reinterpret_cast<const char*>(&record);
    unwritten_.insert(unwritten_.end(), bytes, bytes + sizeof record);
    unwritten_.insert(unwritten_.end(), entry.id.begin(), entry.id.end());
    ++size_;
    if (unwritten_.size() < block_size) return;
    file_.append(unwritten_.data(), unwritten_.size());
    in_file_ += std::ssize(unwritten_);
    unwritten_.clear();
  }

  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool has_weights() const noexcept { return weighted_; }

  /// From the first entry to the last. The schedule must outlive it, and must not grow meanwhile.
  class Cursor {
   public:
    explicit Cursor(const SpooledSchedule& schedule) : schedule_(&schedule) {}

    /// False at the end. Reuses what `entry` holds.
    bool next(ScheduleEntry& entry) {
      if (done_ == schedule_->size_) return false;
      ++done_;
      Record record;
      take(&record, sizeof record);
      entry.id.resize(record.id_size);
      take(entry.id.data(), record.id_size);
      entry.beta = record.beta;
      entry.clipped = record.clipped;
      entry.gap.reset();
      if (record.has_gap)
        entry.gap = SemanticGap{record.gap, record.category, record.n_annotators,
                                record.n_annotations, record.spread};
      entry.weight.reset();
      if (schedule_->weighted_) entry.weight = record.weight;
      return true;
    }

   private:
    void take(void* to, std::size_t size) {
      auto* out = static_cast<char*>(to);
      while (size > 0) {
        if (used_ == block_.size()) refill();
        const std::size_t some = std::min(size, block_.size() - used_);
        std::memcpy(out, block_.data() + used_, some);
        used_ += some;
        out += some;
        size -= some;
      }
    }

    void refill() {
      used_ = 0;
      const std::int64_t left = schedule_->in_file_ - read_;
      if (left == 0) {
        block_ = schedule_->unwritten_;
        return;
      }
      block_.resize(std::min(block_size, static_cast<std::size_t>(left)));
      schedule_->file_.read(read_, block_.data(), block_.size());
      read_ += std::ssize(block_);
    }

    const SpooledSchedule* schedule_;
    std::size_t done_ = 0;
    std::int64_t read_ = 0;  // bytes of the file
    std::vector<char> block_;
    std::size_t used_ = 0;  // of the block
  };

  /// visit(entry) for every entry in their order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    ScheduleEntry entry;
    for (Cursor cursor(*this); cursor.next(entry);) visit(std::as_const(entry));
  }

  /// The schedule after change(entry) of every entry.
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
  static constexpr std::size_t block_size = std::size_t{1} << 16;

  struct Record {  // and the id's bytes behind it
    double beta;
    double gap;
    double spread;
    double weight;
    std::size_t id_size;
    int n_annotators;
    int n_annotations;
    Category category;
    Clip clipped;
    bool has_gap;
  };

  Categories categories_;
  detail::TemporaryFile file_;
  std::int64_t in_file_ = 0;     // bytes
  std::vector<char> unwritten_;  // what follows them
  std::size_t size_ = 0;
  std::string first_;  // its id
  bool weighted_ = false;
};

}  // namespace sp2dpo
