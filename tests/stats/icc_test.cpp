// SPDX-License-Identifier: Apache-2.0
#include "tables.hpp"
#include <gtest/gtest.h>

#include <sp2dpo/stats/agreement.hpp>

namespace sp2dpo::stats {
namespace {

using test::none;
using test::table;

TEST(Icc, MatchesThePublishedValuesOfFourJudges) {
  const auto icc = stats::icc(table(test::four_judges()));
  constexpr double single[] = {0.16574176840547544, 0.2897637795275591, 0.7148407148407149};
  constexpr double mean[] = {0.44279713367926865, 0.6200505475989891, 0.9093155423770695};
  // Shrout and Fleiss print two digits.
  constexpr Interval single_ci[] = {{-.13, .72}, {.02, .76}, {.34, .95}};
  constexpr Interval mean_ci[] = {{-.88, .91}, {.07, .93}, {.68, .99}};
  for (std::size_t form = 0; form < 3; ++form) {
    EXPECT_NEAR(*icc.single[form].value, single[form], 1e-9);
    EXPECT_NEAR(*icc.mean[form].value, mean[form], 1e-9);
    EXPECT_NEAR(icc.single[form].ci->low, single_ci[form].low, 0.005);
    EXPECT_NEAR(icc.single[form].ci->high, single_ci[form].high, 0.005);
    EXPECT_NEAR(icc.mean[form].ci->low, mean_ci[form].low, 0.005);
    EXPECT_NEAR(icc.mean[form].ci->high, mean_ci[form].high, 0.005);
    EXPECT_EQ(icc.single[form].n, 6);
  }
}

TEST(Icc, SkipsUnitsThatARaterMissed) {
  auto rows = test::four_judges();
  rows.insert(rows.begin(), {9, 9, none, 9});
  const auto icc = stats::icc(table(rows));
  EXPECT_NEAR(*icc.single[1].value, 0.2897637795275591, 1e-12);
  EXPECT_EQ(icc.single[1].n, 6);
}

TEST(Icc, IsInvariantUnderScaleAndOffset) {
  auto rows = test::four_judges();
  for (auto& row : rows)
    for (double& cell : row) cell = 1000 - 3 * cell;
  const auto before = stats::icc(table(test::four_judges())), after = stats::icc(table(rows));
  for (std::size_t form = 0; form < 3; ++form) {
    EXPECT_NEAR(*before.single[form].value, *after.single[form].value, 1e-11);
    EXPECT_NEAR(*before.mean[form].value, *after.mean[form].value, 1e-11);
  }
}

TEST(Icc, IsOneInForm3IfRatersDifferInLevelOnly) {
  const auto icc = stats::icc(table({{1, 2}, {2, 3}, {5, 6}}));
  EXPECT_DOUBLE_EQ(*icc.single[2].value, 1);
  EXPECT_LT(*icc.single[1].value, 1);
}

TEST(Icc, GivesAReasonIfUndefined) {
  EXPECT_EQ(stats::icc(table({{1}, {2}})).single[0].reason, "fewer than two raters");
  EXPECT_EQ(stats::icc(table({{1, 2}, {1, none}})).mean[2].reason,
            "every rater rated fewer than two common units");
  EXPECT_EQ(stats::icc(table({{.1, .1}, {.1, .1}})).single[1].reason, "only one value occurs");
  const auto level = stats::icc(table({{1, 2}, {1, 2}}));  // units all alike
  for (const auto& estimate : level.mean)
    EXPECT_EQ(estimate.value.has_value(), estimate.reason.empty());
  EXPECT_FALSE(level.mean[2].value);
}

}  // namespace
}  // namespace sp2dpo::stats
