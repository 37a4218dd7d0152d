// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/controls.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>
#include <sp2dpo/schedule/spooled_schedule.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

bool same(const ScheduleEntry& a, const ScheduleEntry& b) {
  if (a.id != b.id || a.beta != b.beta || a.clipped != b.clipped || a.weight != b.weight ||
      a.gap.has_value() != b.gap.has_value())
    return false;
  return !a.gap || (a.gap->value == b.gap->value && a.gap->category == b.gap->category &&
                    a.gap->n_annotators == b.gap->n_annotators &&
                    a.gap->n_annotations == b.gap->n_annotations && a.gap->spread == b.gap->spread);
}

/// Returns entries of every kind, enough for several blocks of the file, with ids across block
/// borders.
std::vector<ScheduleEntry> entries() {
  std::vector<ScheduleEntry> entries;
  for (int i = 0; i < 5000; ++i) {
    ScheduleEntry entry{
        .id = std::string(static_cast<std::size_t>(i % 50), 'x') + std::to_string(i),
        .beta = 0.03 + 0.00005 * i};
    if (i % 7 != 0)
      entry.gap = SemanticGap{std::sin(i), static_cast<Category>(i % 6), i % 5, i, 0.25 * i};
    entry.clipped = static_cast<Clip>(i % 3);
    entries.push_back(std::move(entry));
  }
  return entries;
}

SpooledSchedule spooled(const std::vector<ScheduleEntry>& entries) {
  SpooledSchedule schedule;
  for (const auto& entry : entries) schedule.add(entry);
  return schedule;
}

void expect_same(const SpooledSchedule& actual, std::span<const ScheduleEntry> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  std::size_t i = 0;
  actual.for_each([&](const ScheduleEntry& entry) {
    ASSERT_TRUE(same(entry, expected[i])) << i << ' ' << entry.id;
    ++i;
  });
  EXPECT_EQ(i, expected.size());
}

TEST(SpooledSchedule, ReturnsWhatWasAddedAsOftenAsItIsRead) {
  const auto expected = entries();
  const auto schedule = spooled(expected);
  expect_same(schedule, expected);
  expect_same(schedule, expected);
  EXPECT_FALSE(schedule.has_weights());
  expect_same(SpooledSchedule(), {});
  expect_same(spooled({{"a", 0.1}}), std::vector<ScheduleEntry>{{"a", 0.1}});
}

TEST(SpooledSchedule, GivesTheSameControlsAsAScheduleInMemory) {
  const auto in_memory = Schedule(entries());
  const auto schedule = spooled(entries());
  expect_same(inverted(schedule), inverted(in_memory).entries());
  expect_same(averaged(schedule), averaged(in_memory).entries());
  expect_same(shuffled(schedule, 7), shuffled(in_memory, 7).entries());
  expect_same(randomized(schedule, 7), randomized(in_memory, 7).entries());
  const auto weights = weighted(schedule);
  EXPECT_TRUE(weights.has_weights());
  expect_same(weights, weighted(in_memory).entries());
  expect_same(inverted(weights), inverted(weighted(in_memory)).entries());
}

TEST(SpooledSchedule, RefusesWhatAScheduleRefuses) {
  SpooledSchedule schedule;
  schedule.add({.id = "a", .beta = 0.1});
  for (const double beta : {0.0, -0.1, std::nan(""), HUGE_VAL})
    EXPECT_THAT([&] { schedule.add({.id = "b", .beta = beta}); },
                ThrowsMessage<InvalidArgument>(HasSubstr("pair b: beta must be finite")));
  EXPECT_THAT([&] { schedule.add({.id = "b", .beta = 0.1, .weight = 1}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("pair b has a weight, unlike pair a")));
  EXPECT_THAT(
      [&] { schedule.add({.id = "b", .beta = 1, .gap = SemanticGap{.category = Category{9}}}); },
      ThrowsMessage<InvalidArgument>(HasSubstr("category")));
  EXPECT_EQ(schedule.size(), 1u);
}

TEST(ScheduleView, ReadsAScheduleInMemoryAndASpooledOneAlike) {
  const auto expected = entries();
  const Schedule in_memory(entries(), Categories());
  const SpooledSchedule on_disk = spooled(expected);
  for (const ScheduleView& view : {ScheduleView(in_memory), ScheduleView(on_disk)}) {
    EXPECT_EQ(view.size(), expected.size());
    EXPECT_FALSE(view.has_weights());
    EXPECT_EQ(view.categories(), Categories());
    std::size_t i = 0;
    view.for_each([&](const ScheduleEntry& entry) { ASSERT_TRUE(same(entry, expected[i++])); });
    EXPECT_EQ(i, expected.size());
  }
  EXPECT_EQ(ScheduleView(in_memory).in_memory(), &in_memory);
  EXPECT_EQ(ScheduleView(in_memory).spooled(), nullptr);
  EXPECT_EQ(ScheduleView(on_disk).spooled(), &on_disk);
}

}  // namespace
}  // namespace sp2dpo
