// SPDX-License-Identifier: Apache-2.0
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "schedules.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/report/table.hpp>

namespace sp2dpo::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// The words of the line that begins with `name`.
std::vector<std::string> row(const std::string& table, const std::string& name) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + " ")) continue;
    std::istringstream words(line.substr(name.size()));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

TEST(BetaTable, ListsQuartilesByCategoryAndOfAllPairs) {
  std::vector<ScheduleEntry> entries;
  for (const double beta : {0.3, 0.1, 0.2, 0.25, 0.15}) entries.push_back(entry(beta));
  entries.push_back(entry(0.03, 5));
  const auto table = beta_table(Schedule(std::move(entries)));
  // The gaps are (beta − 0.03) / 0.27; their mean is that of beta 0.2.
  EXPECT_THAT(row(table, "safety"),
              ElementsAre("5", "0.100", "0.150", "0.200", "0.250", "0.300", "0.630"));
  EXPECT_THAT(row(table, "style"),
              ElementsAre("1", "0.030", "0.030", "0.030", "0.030", "0.030", "0.000"));
  EXPECT_THAT(row(table, "all"),
              ElementsAre("6", "0.030", "0.113", "0.175", "0.237", "0.300", "0.525"));
  EXPECT_THAT(table, Not(HasSubstr("factuality")));
}

TEST(BetaTable, CountsSaturatedClippedAndMissingPairs) {
  const auto table = beta_table(Schedule(
      {entry(0.03, 0, Clip::low), entry(0.0301), entry(0.3), entry(0.2), entry_without_gap(0.1)}));
  EXPECT_THAT(table, HasSubstr("2 pairs at 0.03 (40.0 %), 1 at 0.3 (20.0 %)"));
  EXPECT_THAT(table, HasSubstr("clipped: 1 low, 0 high; without a gap: 1"));
  EXPECT_THAT(row(table, "(no gap)"),
              ElementsAre("1", "0.100", "0.100", "0.100", "0.100", "0.100", "-"));
}

TEST(BetaTable, RejectsAnEmptySchedule) {
  EXPECT_THROW((void)beta_table(Schedule({})), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::report
