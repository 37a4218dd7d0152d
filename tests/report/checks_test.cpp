// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schedules.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/report/checks.hpp>

namespace sp2dpo::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> checks_of(const std::vector<Finding>& findings) {
  std::vector<std::string> names;
  for (const auto& finding : findings) names.push_back(finding.check);
  return names;
}

/// Makes 100 even betas and replaces `count` of them by `replacement`.
Schedule with(int count, const ScheduleEntry& replacement) {
  auto entries = even_entries(100);
  for (int i = 0; i < count; ++i) {
    // From both ends in turn, which keeps the mean about constant.
    auto& entry = entries[static_cast<std::size_t>(i % 2 == 0 ? i / 2 : 99 - i / 2)];
    const auto id = entry.id;
    entry = replacement;
    entry.id = id;
  }
  return Schedule(std::move(entries));
}

TEST(CheckSchedule, FindsNothingInEvenBetas) {
  EXPECT_THAT(check_schedule(Schedule(even_entries(100))), IsEmpty());
}

TEST(CheckSchedule, WarnsOfSaturationAboveItsLimitButNotAtIt) {
  EXPECT_THAT(check_schedule(with(20, entry(0.03))), IsEmpty());
  EXPECT_THAT(check_schedule(with(20, entry(0.3))), IsEmpty());

  const auto low = check_schedule(with(22, entry(0.03)));
  ASSERT_THAT(checks_of(low), ElementsAre("saturation-low"));
  EXPECT_DOUBLE_EQ(low[0].value, 0.22);
  EXPECT_DOUBLE_EQ(low[0].limit, 0.2);
  EXPECT_THAT(low[0].sentence, HasSubstr("22 of 100 pairs (22 %)"));
  EXPECT_THAT(low[0].sentence, HasSubstr("0.03"));

  EXPECT_THAT(checks_of(check_schedule(with(22, entry(0.3)))), ElementsAre("saturation-high"));
}

TEST(CheckSchedule, UsesTheGivenEnvelope) {
  EXPECT_THAT(checks_of(check_schedule(with(30, entry(0.03)), {}, {.envelope = {0.01, 0.3}})),
              IsEmpty());
}

TEST(CheckSchedule, WarnsIfBetaHardlyVaries) {
  // Half at 0.1 and half at 0.1 + d: the standard deviation is d / 2, the limit 0.05 · 0.27.
  const auto two_values = [](double d) {
    std::vector<ScheduleEntry> entries;
    for (int i = 0; i < 50; ++i) entries.push_back(entry(0.1));
    for (int i = 0; i < 50; ++i) entries.push_back(entry(0.1 + d, 1));
    return Schedule(std::move(entries));
  };
  EXPECT_THAT(check_schedule(two_values(0.028)), IsEmpty());
  const auto findings = check_schedule(two_values(0.026));
  ASSERT_THAT(checks_of(findings), ElementsAre("no-spread"));
  EXPECT_NEAR(findings[0].value, 0.013 / 0.27, 1e-12);
}

TEST(CheckSchedule, WarnsIfBetaFollowsLengthInEitherDirection) {
  const Schedule schedule(even_entries(100));
  std::vector<double> lengths;
  for (int i = 0; i < 100; ++i) lengths.push_back(i * i);  // only ranks matter
  const auto longer = check_schedule(schedule, lengths);
  ASSERT_THAT(checks_of(longer), ElementsAre("length-bias"));
  EXPECT_NEAR(longer[0].value, 1, 1e-12);

  for (auto& length : lengths) length = -length;
  const auto shorter = check_schedule(schedule, lengths);
  ASSERT_THAT(checks_of(shorter), ElementsAre("length-bias"));
  EXPECT_NEAR(shorter[0].value, -1, 1e-12);
}

TEST(CheckSchedule, ComputesSpearmansCorrelationWithTies) {
  // Ranks 1 2 3 4 5 and 1.5 1.5 3 4 5: r = 9.5 / sqrt(10 · 9.5), by hand.
  const auto findings =
      check_schedule(Schedule(even_entries(5)), std::vector<double>{7, 7, 8, 9, 20},
                     {.length_correlation = 0.5, .share_missing = 1});
  // √(5 − 1) · 0.975 is within chance: five pairs are too few.
  EXPECT_THAT(findings, IsEmpty());

  std::vector<ScheduleEntry> entries;
  std::vector<double> lengths;
  const std::vector<double> five{7, 7, 8, 9, 20};
  for (int copy = 0; copy < 4; ++copy) {
    for (int i = 0; i < 5; ++i) {
      entries.push_back(entry(0.05 + 0.05 * i, static_cast<std::size_t>(copy)));
      lengths.push_back(five[static_cast<std::size_t>(i)]);
    }
  }
  const auto enough = check_schedule(Schedule(std::move(entries)), lengths);
  ASSERT_THAT(checks_of(enough), ElementsAre("length-bias"));
  EXPECT_NEAR(enough[0].value, 0.97467943448, 1e-10);
}

TEST(CheckSchedule, PassesConstantLengths) {
  EXPECT_THAT(check_schedule(Schedule(even_entries(100)), std::vector<double>(100, 3.0)),
              IsEmpty());
}

TEST(CheckSchedule, WarnsOfMissingAndClippedPairsAboveTheirLimits) {
  EXPECT_THAT(check_schedule(with(5, entry_without_gap(0.1))), IsEmpty());
  EXPECT_THAT(checks_of(check_schedule(with(6, entry_without_gap(0.1)))), ElementsAre("missing"));

  EXPECT_THAT(check_schedule(with(5, entry(0.03, 0, Clip::low))), IsEmpty());
  const auto clipped = check_schedule(with(6, entry(0.03, 0, Clip::low)));
  ASSERT_THAT(checks_of(clipped), ElementsAre("clipped"));
  EXPECT_DOUBLE_EQ(clipped[0].value, 0.06);
}

const Finding& named(const std::vector<Finding>& findings, std::string_view check) {
  const auto found = std::ranges::find(findings, check, &Finding::check);
  if (found == findings.end()) throw Error("no such check");
  return *found;
}

TEST(AllChecks, ReportsAResultForEveryCheck) {
  const auto findings = all_checks(Schedule(even_entries(100)), {});
  EXPECT_THAT(checks_of(findings),
              ElementsAre("saturation-low", "saturation-high", "no-spread", "length-bias",
                          "guessing", "missing", "clipped", "coverage", "category-collapse"));
  for (const auto& finding : findings)
    EXPECT_EQ(finding.result, finding.check == "length-bias" || finding.check == "guessing"
                                  ? CheckResult::not_checked
                                  : CheckResult::pass)
        << finding.check;
  EXPECT_THAT(named(findings, "guessing").sentence, HasSubstr("annotations are missing"));
  EXPECT_THAT(named(findings, "no-spread").sentence, HasSubstr("28.9 %"));  // 1 / √12
}

TEST(AllChecks, WarnsOfGuessingBelowTheReliabilityLimit) {
  const auto verdict = [](stats::Estimate reliability) {
    return named(all_checks(Schedule(even_entries(10)), {.reliability = std::move(reliability)}),
                 "guessing");
  };
  EXPECT_EQ(verdict(stats::Estimate::of(0.31, 10)).result, CheckResult::pass);
  EXPECT_EQ(verdict(stats::Estimate::of(0.29, 10)).result, CheckResult::warn);
  EXPECT_EQ(verdict(stats::Estimate::of(-0.5, 10)).result, CheckResult::warn);
  const auto undefined = verdict(stats::Estimate::undefined("one annotator only", 10));
  EXPECT_EQ(undefined.result, CheckResult::not_checked);
  EXPECT_THAT(undefined.sentence, HasSubstr("one annotator only"));
}

TEST(AllChecks, WarnsOfIncompletePanelsAndCategoryCollapse) {
  auto entries = even_entries(100);
  for (auto& entry : entries) entry.gap->n_annotators = 3;
  for (std::size_t i = 0; i < 11; ++i) entries[i].gap->n_annotators = 2;
  for (std::size_t i = 0; i < 100; ++i)
    entries[i].gap->category = i < 4 ? Category{1} : Category{2};
  const auto findings = check_schedule(Schedule(std::move(entries)));
  ASSERT_THAT(checks_of(findings), ElementsAre("coverage", "category-collapse"));
  EXPECT_DOUBLE_EQ(findings[0].value, 0.11);
  EXPECT_DOUBLE_EQ(findings[1].value, 0.96);
  EXPECT_THAT(findings[1].sentence, HasSubstr("instruction"));
}

TEST(AllChecks, NameARemedyExactlyIfTheyDoNotPass) {
  auto entries = even_entries(100);
  for (std::size_t i = 0; i < 30; ++i) {
    entries[i] = entry_without_gap(0.03);
    entries[i].id = "none" + std::to_string(i);
  }
  for (std::size_t i = 30; i < 40; ++i) entries[i].gap->n_annotators = 9;
  for (const auto& finding : all_checks(Schedule(std::move(entries)), {})) {
    EXPECT_EQ(finding.remedy.starts_with("sp2dpo "), finding.result != CheckResult::pass)
        << finding.check << ": " << finding.remedy;
    EXPECT_EQ(finding.remedy.empty(), finding.result == CheckResult::pass) << finding.check;
  }
}

TEST(CheckSchedule, WidensTheGapRangeAsFarAsTheGapsReach) {
  const auto remedies = [](double gap, double beta, Clip clip) {
    auto at_the_end = entry(beta, 0, clip);
    at_the_end.gap->value = gap;
    std::vector<std::string> found;
    for (const auto& finding : check_schedule(with(30, at_the_end)))
      found.push_back(finding.check + ": " + finding.remedy);
    return found;
  };
  EXPECT_THAT(remedies(-0.5, 0.03, Clip::low),
              ElementsAre("saturation-low: sp2dpo schedule ... --gap-range -1,1",
                          "clipped: sp2dpo schedule ... --gap-range -1,1"));
  EXPECT_THAT(remedies(0.9, 0.3, Clip::high),
              ElementsAre("saturation-high: sp2dpo schedule ... --gap-range 0,1",
                          "clipped: sp2dpo schedule ... --gap-range 0,1"));
  EXPECT_THAT(remedies(0.0, 0.03, Clip::none),
              ElementsAre("saturation-low: sp2dpo schedule ... --mapper rank"));
}

TEST(CheckSchedule, RejectsEmptySchedulesAndMissingLengths) {
  EXPECT_THROW((void)check_schedule(Schedule({})), InvalidArgument);
  try {
    (void)check_schedule(Schedule(even_entries(3)), std::vector<double>{1, 2});
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("2 differences in length for the 3 pairs"));
  }
}

}  // namespace
}  // namespace sp2dpo::report
