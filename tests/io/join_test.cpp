// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/join.hpp>

namespace sp2dpo::io {
namespace {

using testing::HasSubstr;

Schedule two(bool weights = false) {
  std::vector<ScheduleEntry> entries{
      {.id = "a", .beta = 0.1, .gap = SemanticGap{.value = -0.25, .category = Category{5}}},
      {.id = "9", .beta = 0.2}};
  if (weights)
    for (auto& entry : entries) entry.weight = 1.5;
  return Schedule(std::move(entries));
}

std::string joined(const std::string& rows, const Schedule& schedule, bool overwrite = false) {
  const test::Folder folder;
  JoinOptions options;
  options.schedule_name = "s.jsonl";
  options.overwrite = overwrite;
  (void)join_schedule(folder.write("p.jsonl", rows), schedule, folder / "o.jsonl", options);
  return test::slurp(folder / "o.jsonl");
}

TEST(JoinSchedule, CopiesARowVerbatimAndAppendsItsColumns) {
  EXPECT_EQ(joined(R"( {"rejected":"r" , "prompt":"pé","chosen":"c","score":1.50,"id":"a" } )"
                   "\r\n"
                   R"({"id":9,"prompt":"p","chosen":"c","rejected":"r","meta":{"z":1,"a":[]}})"
                   "\n"
                   R"({"id":"left out","prompt":"p","chosen":"c","rejected":"r"})"
                   "\n",
                   two()),
            R"({"rejected":"r" , "prompt":"pé","chosen":"c","score":1.50,"id":"a" ,"beta":0.1,)"
            R"("sp2dpo":{"category":"style","gap":-0.25,"schedule":"s.jsonl"}})"
            "\n"
            R"({"id":9,"prompt":"p","chosen":"c","rejected":"r","meta":{"z":1,"a":[]},"beta":0.2,)"
            R"("sp2dpo":{"category":null,"gap":null,"schedule":"s.jsonl"}})"
            "\n");
}

TEST(JoinSchedule, RefusesADuplicateColumnUnlessItMayOverwriteIt) {
  const std::string row = R"({"id":"a","beta":7,"prompt":"p","chosen":"c","rejected":"r"})"
                          "\n";
  const auto error = test::error_of([&] { (void)joined(row, two()); });
  EXPECT_EQ(error.line, 1);
  EXPECT_EQ(error.field, "beta");
  EXPECT_EQ(joined(row, two(), true),
            R"({"id":"a","prompt":"p","chosen":"c","rejected":"r","beta":0.1,)"
            R"("sp2dpo":{"category":"style","gap":-0.25,"schedule":"s.jsonl"}})"
            "\n");
}

TEST(JoinSchedule, ReservesTheColumnWeightOnlyIfTheScheduleHasWeights) {
  const std::string row = R"({"id":"a","prompt":"p","chosen":"c","rejected":"r","weight":3})"
                          "\n";
  EXPECT_THAT(joined(row, two()), HasSubstr(R"("weight":3,"beta":0.1)"));
  EXPECT_EQ(test::error_of([&] { (void)joined(row, two(true)); }).field, "weight");
  EXPECT_THAT(joined(row, two(true), true), HasSubstr(R"("beta":0.1,"weight":1.5,"sp2dpo")"));
}

std::string row(const std::string& id) {
  return R"({"id":")" + id + R"(","prompt":"p","chosen":"c","rejected":"r"})" + "\n";
}

/// Joins a schedule of `entries` with a file of `rows`, both given by their ids.
template <class S>
JoinCounts join_ids(const std::vector<std::string>& rows, const std::vector<std::string>& entries,
                    S schedule, JoinOptions options = {}) {
  const test::Folder folder;
  std::string file;
  for (const auto& id : rows) file += row(id);
  for (const auto& id : entries) schedule.add({.id = id, .beta = 0.1});
  return join_schedule(folder.write("p.jsonl", file), schedule, folder / "o.jsonl", options);
}

TEST(JoinSchedule, FindsTheEntriesOfAScheduleInMemoryInAnyOrderAndCountsTheUnused) {
  const auto join = [](const std::vector<std::string>& rows,
                       const std::vector<std::string>& entries) {
    return join_ids(rows, entries, Schedule({}));
  };
  EXPECT_EQ(join({"a", "b", "c"}, {"c", "a", "b"}), (JoinCounts{3, 0}));
  EXPECT_EQ(join({"a", "b", "c"}, {"c", "x", "a", "y"}), (JoinCounts{2, 2}));
}

TEST(JoinSchedule, FindsTheEntriesOfASpooledScheduleInTheOrderOfTheFile) {
  const auto join = [](const std::vector<std::string>& rows,
                       const std::vector<std::string>& entries) {
    return join_ids(rows, entries, SpooledSchedule());
  };
  EXPECT_EQ(join({"a", "b", "c", "d"}, {"a", "b", "c", "d"}), (JoinCounts{4, 0}));
  EXPECT_EQ(join({"a", "b", "c", "d"}, {"b", "d"}), (JoinCounts{2, 0}));
  EXPECT_EQ(join({"a", "b", "c", "d"}, {"b", "d", "x", "y"}), (JoinCounts{2, 2}));
  EXPECT_EQ(join({"a", "b"}, {"x"}), (JoinCounts{0, 1}));
}

TEST(JoinSchedule, NamesTwoPairsOfASpooledScheduleThatAreOutOfOrder) {
  const auto message = [](const std::vector<std::string>& rows,
                          const std::vector<std::string>& entries) {
    return std::string(
        test::error_of([&] { (void)join_ids(rows, entries, SpooledSchedule()); }).what());
  };
  EXPECT_THAT(message({"a", "d", "b", "c"}, {"a", "b", "d", "c"}),
              HasSubstr("has the pair d before the pair b, and the schedule has it after"));
  EXPECT_THAT(message({"b", "a"}, {"a", "b"}),
              HasSubstr("has the pair b before the pair a, and the schedule has it after"))
      << "found at the end of the file";
  EXPECT_THAT(message({"a", "c"}, {"a", "x", "y", "c"}),
              HasSubstr("has the pair c, but not the pair x, which comes before it"));
}

TEST(JoinSchedule, TreatsAnUnusedEntryAsAnErrorIfAllAreWanted) {
  const JoinOptions all{.all_entries = true};
  EXPECT_EQ(join_ids({"a", "b", "c"}, {"a", "c"}, SpooledSchedule(), all), (JoinCounts{2, 0}));
  EXPECT_EQ(join_ids({"a", "b", "c"}, {"c", "a"}, Schedule({}), all), (JoinCounts{2, 0}));
  const test::Folder folder;
  const auto expect_error = [&](const ScheduleView& schedule) {
    const auto error = test::error_of([&] {
      (void)join_schedule(folder.write("p.jsonl", row("b") + row("a")), schedule,
                          folder / "o.jsonl", all);
    });
    EXPECT_THAT(error.what(), HasSubstr("p.jsonl: lacks 2 of the schedule's 3 pairs, the first of "
                                        "them x"));
    EXPECT_FALSE(std::filesystem::exists(folder / "o.jsonl"));
  };
  Schedule in_memory({});
  SpooledSchedule spooled;
  for (const char* id : {"a", "x", "y"}) {
    in_memory.add({.id = id, .beta = 0.1});
    spooled.add({.id = id, .beta = 0.1});
  }
  expect_error(in_memory);
  expect_error(spooled);
}

}  // namespace
}  // namespace sp2dpo::io
