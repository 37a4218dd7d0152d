// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <fmt/format.h>

#include <sp2dpo/io/entry_matcher.hpp>

namespace sp2dpo::io {

EntryMatcher::EntryMatcher(const ScheduleView& schedule, const PairReader& rows)
    : schedule_(schedule), rows_(rows) {
  if (const auto* const spooled = schedule.spooled()) cursor_.emplace(*spooled);
}

const ScheduleEntry* EntryMatcher::find(const std::string& id) {
  if (!cursor_) {
    const auto* const entry = schedule_.in_memory()->find(id);
    n_found_ += entry != nullptr;
    return entry;
  }
  if (!loaded_) load(id);
  if (!loaded_ || entry_.id != id) return nullptr;
  loaded_ = false;
  previous_ = id;
  ++n_found_;
  return &entry_;
}

std::int64_t EntryMatcher::finish(bool all_entries) {
  const auto unused = static_cast<std::int64_t>(schedule_.size()) - n_found_;
  if (unused == 0) return 0;
  if (cursor_) {
    if (!loaded_) load("");
    const std::string first = entry_.id;
    while (cursor_->next(entry_))
      if (was_read(entry_.id))
        fail(
            fmt::format("has the pair {}, but not the pair {}, which comes before it in the "
                        "schedule; a spooled schedule must have the order of the file",
                        entry_.id, first));
    loaded_ = false;
  }
  if (!all_entries) return unused;
  std::string first;
  schedule_.for_each([&](const ScheduleEntry& entry) {
    if (first.empty() && !was_read(entry.id)) first = entry.id;
  });
  fail(fmt::format("lacks {} of the schedule's {} pairs, the first of them {}", unused,
                   schedule_.size(), first));
}

/// Goes to the next entry. If a row before the current one, `id`, had its pair, that row came while
/// an earlier entry was expected.
void EntryMatcher::load(const std::string& id) {
  loaded_ = cursor_->next(entry_);
  if (loaded_ && entry_.id != id && was_read(entry_.id))
    fail(
        fmt::format("has the pair {} before the pair {}, and the schedule has it after; a spooled "
                    "schedule must have the order of the file",
                    entry_.id, previous_));
}

bool EntryMatcher::was_read(const std::string& id) const {
  return rows_.ids().find(id) != PairIds::none;
}

void EntryMatcher::fail(const std::string& message) const {
  throw DataError(rows_.path().string(), 0, "", message);
}

}  // namespace sp2dpo::io
