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

}  // namespace
}  // namespace sp2dpo::io
