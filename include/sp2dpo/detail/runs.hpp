// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::detail {

/// Sorted runs of records in a temporary file without a name, which is gone with this object.
template <class Record>
requires std::is_trivially_copyable_v<Record>
class Runs {
 public:
  /// Throws Error where there is no room for it.
  void append(std::span<const Record> run) {
    if (!file_) file_.reset(std::tmpfile());
    if (!file_ || std::fseek(file_.get(), 0, SEEK_END) != 0 ||
        std::fwrite(run.data(), sizeof(Record), run.size(), file_.get()) != run.size() ||
        std::fflush(file_.get()) != 0)
      fail("written");
    const std::int64_t begin = ends_.empty() ? 0 : ends_.back();
    ends_.push_back(begin + std::ssize(run));
  }

  [[nodiscard]] std::size_t size() const noexcept { return ends_.size(); }

  /// Reads all runs at once, in the order of key(record); equal keys in the order of the runs.
  template <class Key>
  class Merge {
   public:
    /// Holds about `records` records at a time.
    Merge(const Runs& runs, Key key, std::size_t records) : runs_(runs), key_(key) {
      const std::size_t each =
          std::max<std::size_t>(64, records / std::max<std::size_t>(1, runs.ends_.size()));
      std::int64_t begin = 0;
      for (const std::int64_t end : runs.ends_) {
        cursors_.push_back({begin, end, std::vector<Record>(each)});
        begin = end;
      }
      for (std::size_t i = 0; i < cursors_.size(); ++i) refill(i);
    }

    /// Gives the records of this key, the smallest one left, to `use(record, number of its run)`.
    template <class Use>
    void take(std::uint32_t key, const Use& use) {
      while (!heads_.empty() && heads_.top().first == key) {
        const std::size_t run = heads_.top().second;
        heads_.pop();
        Cursor& cursor = cursors_[run];
        for (;;) {
          use(cursor.records[cursor.next], run);
          if (++cursor.next == cursor.filled) break;
          if (key_(cursor.records[cursor.next]) != key) break;
        }
        if (cursor.next < cursor.filled)
          heads_.emplace(key_(cursor.records[cursor.next]), run);
        else
          refill(run);
      }
    }

   private:
    struct Cursor {
      std::int64_t begin, end;  // of what is still in the file
      std::vector<Record> records;
      std::size_t next = 0, filled = 0;
    };
    using Head = std::pair<std::uint32_t, std::size_t>;

    void refill(std::size_t run) {
      Cursor& cursor = cursors_[run];
      cursor.next = 0;
      cursor.filled =
          std::min(cursor.records.size(), static_cast<std::size_t>(cursor.end - cursor.begin));
      if (cursor.filled == 0) return;
      std::FILE* const file = runs_.file_.get();
      if (std::fseek(file, static_cast<long>(cursor.begin) * static_cast<long>(sizeof(Record)),
                     SEEK_SET) != 0 ||
          std::fread(cursor.records.data(), sizeof(Record), cursor.filled, file) != cursor.filled)
        fail("read");
      cursor.begin += static_cast<std::int64_t>(cursor.filled);
      heads_.emplace(key_(cursor.records[0]), run);
    }

    const Runs& runs_;
    Key key_;
    std::vector<Cursor> cursors_;
    std::priority_queue<Head, std::vector<Head>, std::greater<>> heads_;
  };

 private:
  [[noreturn]] static void fail(const char* what) {
    throw Error(fmt::format("a temporary file cannot be {}: {}", what,
                            std::generic_category().message(errno)));
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<std::int64_t> ends_;  // of each run, in records
};

}  // namespace sp2dpo::detail
