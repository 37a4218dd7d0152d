// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "temporary_file.hpp"

namespace sp2dpo::detail {

/// Runs of records in a temporary file, each sorted by `record.pair`.
template <class Record>
requires std::is_trivially_copyable_v<Record>
class Runs {
 public:
  /// Appends to the current run; end_run() ends it.
  void append(std::span<const Record> records) {
    file_.append(records.data(), records.size_bytes());
    written_ += std::ssize(records);
  }
  void end_run() {
    if (written_ > (ends_.empty() ? 0 : ends_.back())) ends_.push_back(written_);
  }

  /// The number of runs.
  [[nodiscard]] std::size_t size() const noexcept { return ends_.size(); }

  /// Merges all runs: reads their records in the order of the pairs, and those of one pair in the
  /// order of the runs.
  class Merge {
   public:
    /// Starts at pair number `first`. Holds about `records` records at a time.
    Merge(const Runs& runs, std::uint32_t first, std::size_t records) : runs_(runs) {
      const std::size_t each =
          std::max<std::size_t>(64, records / std::max<std::size_t>(1, runs.ends_.size()));
      std::int64_t begin = 0;
      for (const std::int64_t end : runs.ends_) {
        cursors_.push_back({runs.lower_bound(begin, end, first), end, std::vector<Record>(each)});
        begin = end;
      }
      for (std::size_t i = 0; i < cursors_.size(); ++i) refill(i);
    }

    /// Calls use(record, index of its run) for the records of `pair`, if it is the smallest pair
    /// left.
    template <class Use>
    void take(std::uint32_t pair, const Use& use) {
      while (!heads_.empty() && heads_.top().first == pair) {
        const std::size_t run = heads_.top().second;
        heads_.pop();
        Cursor& cursor = cursors_[run];
        for (;;) {
          use(cursor.records[cursor.next], run);
          if (++cursor.next == cursor.filled) break;
          if (cursor.records[cursor.next].pair != pair) break;
        }
        if (cursor.next < cursor.filled)
          heads_.emplace(cursor.records[cursor.next].pair, run);
        else
          refill(run);
      }
    }

   private:
    struct Cursor {
      std::int64_t begin, end;  // the records that are still in the file only
      std::vector<Record> records;
      std::size_t next = 0, filled = 0;
    };
    using Head = std::pair<std::uint32_t, std::size_t>;  // pair, run

    void refill(std::size_t run) {
      Cursor& cursor = cursors_[run];
      cursor.next = 0;
      cursor.filled =
          std::min(cursor.records.size(), static_cast<std::size_t>(cursor.end - cursor.begin));
      if (cursor.filled == 0) return;
      runs_.read(cursor.begin, cursor.records.data(), cursor.filled);
      cursor.begin += static_cast<std::int64_t>(cursor.filled);
      heads_.emplace(cursor.records[0].pair, run);
    }

    const Runs& runs_;
    std::vector<Cursor> cursors_;
    std::priority_queue<Head, std::vector<Head>, std::greater<>> heads_;
  };

 private:
  void read(std::int64_t begin, Record* to, std::size_t count) const {
    file_.read(begin * static_cast<std::int64_t>(sizeof(Record)), to, count * sizeof(Record));
  }

  /// Returns the index of the first of the records [begin, end) whose pair is not below `first`.
  std::int64_t lower_bound(std::int64_t begin, std::int64_t end, std::uint32_t first) const {
    while (first > 0 && begin < end) {
      const std::int64_t middle = begin + (end - begin) / 2;
      Record record;
      read(middle, &record, 1);
      if (record.pair < first)
        begin = middle + 1;
      else
        end = middle;
    }
    return begin;
  }

  TemporaryFile file_;
  std::int64_t written_ = 0;        // records
  std::vector<std::int64_t> ends_;  // one past the last record of each run
};

}  // namespace sp2dpo::detail
