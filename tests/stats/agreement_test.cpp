// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tables.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/stats/agreement.hpp>

namespace sp2dpo::stats {
namespace {

using test::none;
using test::table;
using testing::HasSubstr;

constexpr Bootstrap no_interval{.replicates = 0};
constexpr Scale scales[] = {Scale::nominal, Scale::ordinal, Scale::interval, Scale::ratio};

double alpha(const std::vector<std::vector<double>>& rows, Scale scale) {
  return krippendorff_alpha(table(rows), scale, no_interval).value.value();
}

/// Random ratings from 1 to 5 with partial agreement and missing cells.
std::vector<std::vector<double>> random_rows(unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<double>> rows(40, std::vector<double>(4));
  for (auto& row : rows) {
    const double truth = static_cast<double>(1 + random() % 5);
    for (double& cell : row) {
      cell = random() % 3 == 0 ? static_cast<double>(1 + random() % 5) : truth;
      if (random() % 5 == 0) cell = none;
    }
  }
  return rows;
}

/// Alpha from its definition, over all pairs of values.
double alpha_by_definition(const std::vector<std::vector<double>>& rows, Scale scale) {
  std::vector<double> all;
  std::vector<std::vector<double>> units;
  for (const auto& row : rows) {
    std::vector<double> unit;
    std::ranges::copy_if(row, std::back_inserter(unit), [](double x) { return x == x; });
    if (unit.size() < 2) continue;
    all.insert(all.end(), unit.begin(), unit.end());
    units.push_back(unit);
  }
  const auto count = [&](double from, double to) {
    return static_cast<double>(
        std::ranges::count_if(all, [&](double x) { return from <= x && x <= to; }));
  };
  const auto distance = [&](double c, double k) {
    if (scale == Scale::nominal) return c == k ? 0.0 : 1.0;
    if (scale == Scale::interval) return (c - k) * (c - k);
    if (scale == Scale::ratio) return c + k == 0 ? 0 : std::pow((c - k) / (c + k), 2);
    const auto [low, high] = std::minmax(c, k);
    return std::pow(count(low, high) - (count(c, c) + count(k, k)) / 2, 2);
  };
  double observed = 0, expected = 0;
  for (const auto& unit : units)
    for (const double c : unit)
      for (const double k : unit) observed += distance(c, k) / static_cast<double>(unit.size() - 1);
  for (const double c : all)
    for (const double k : all) expected += distance(c, k);
  return 1 - observed / (expected / static_cast<double>(all.size() - 1));
}

TEST(KrippendorffAlpha, MatchesThePublishedValueOfThreeCoders) {
  EXPECT_NEAR(alpha(test::three_coders(), Scale::nominal), 0.691358024691358, 1e-9);
  EXPECT_NEAR(alpha(test::three_coders(), Scale::ordinal), 0.8067214199413153, 1e-9);
  EXPECT_NEAR(alpha(test::three_coders(), Scale::interval), 0.8108448928121059, 1e-9);
  EXPECT_NEAR(alpha(test::three_coders(), Scale::ratio), 0.8089436707842471, 1e-9);
  EXPECT_EQ(krippendorff_alpha(table(test::three_coders()), Scale::nominal).n, 12);
}

TEST(KrippendorffAlpha, EqualsItsDefinitionOnRandomTables) {
  for (unsigned seed = 1; seed <= 20; ++seed)
    for (const auto scale : scales)
      EXPECT_NEAR(alpha(random_rows(seed), scale), alpha_by_definition(random_rows(seed), scale),
                  1e-12);
}

TEST(KrippendorffAlpha, IgnoresTheOrderOfUnitsAndRaters) {
  auto rows = random_rows(1);
  for (auto& row : rows) std::ranges::reverse(row);
  std::ranges::reverse(rows);
  for (const auto scale : scales)
    EXPECT_NEAR(alpha(rows, scale), alpha(random_rows(1), scale), 1e-12);
}

TEST(KrippendorffAlpha, IsInvariantUnderTheTransformationsOfItsScale) {
  auto renamed = random_rows(2), stretched = renamed, moved = renamed, scaled = renamed;
  constexpr double names[] = {0, 3, 1, 5, 2, 4};
  const auto each = [](auto& rows, auto change) {
    for (auto& row : rows)
      for (double& cell : row)
        if (cell == cell) cell = change(cell);
  };
  each(renamed, [&](double x) { return names[static_cast<int>(x)]; });
  each(stretched, [](double x) { return std::exp(x); });
  each(moved, [](double x) { return 1e6 - 0.5 * x; });
  each(scaled, [](double x) { return 7 * x; });
  EXPECT_NEAR(alpha(renamed, Scale::nominal), alpha(random_rows(2), Scale::nominal), 1e-12);
  EXPECT_NEAR(alpha(stretched, Scale::ordinal), alpha(random_rows(2), Scale::ordinal), 1e-12);
  EXPECT_NEAR(alpha(moved, Scale::interval), alpha(random_rows(2), Scale::interval), 1e-9);
  EXPECT_NEAR(alpha(scaled, Scale::ratio), alpha(random_rows(2), Scale::ratio), 1e-12);
  EXPECT_GT(std::abs(alpha(renamed, Scale::interval) - alpha(random_rows(2), Scale::interval)),
            1e-3);
}

TEST(KrippendorffAlpha, HasAnIntervalThatDependsOnTheSeedOnly) {
  const auto ratings = table(random_rows(3));
  for (const auto scale : scales) {
    const auto estimate = krippendorff_alpha(ratings, scale);
    ASSERT_TRUE(estimate.ci);
    EXPECT_LT(estimate.ci->low, *estimate.value);
    EXPECT_GT(estimate.ci->high, *estimate.value);
    const auto again = krippendorff_alpha(ratings, scale);
    EXPECT_EQ(estimate.ci->low, again.ci->low);
    EXPECT_NE(estimate.ci->low, krippendorff_alpha(ratings, scale, {.seed = 2}).ci->low);
  }
}

TEST(KrippendorffAlpha, GivesAReasonWithoutVarianceOrPairableValues) {
  for (const auto scale : scales) {
    EXPECT_EQ(krippendorff_alpha(table({{2, 2}, {2, 2}}), scale).reason, "only one value occurs");
    for (const auto& rows : std::vector<std::vector<std::vector<double>>>{
             {}, {{1}, {2}}, {{none, none}, {none, none}}, {{1, none}, {none, 2}}}) {
      const auto estimate = krippendorff_alpha(table(rows), scale);
      EXPECT_FALSE(estimate.value);
      EXPECT_EQ(estimate.reason, "no unit has two values");
    }
  }
  EXPECT_THAT(krippendorff_alpha(table({{-1, 1}, {2, 2}}), Scale::ratio).reason, HasSubstr("-1"));
}

TEST(KrippendorffAlpha, HandlesManyContinuousValuesWithoutAMatrix) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  Ratings ratings(60000, 9);
  for (std::size_t unit = 0; unit < 60000; ++unit) {
    const double truth = normal(random);
    for (std::size_t rater = 0; rater < 9; ++rater)
      ratings.set(unit, rater, truth + normal(random));
  }
  // Half of the variance lies between the units.
  EXPECT_NEAR(*krippendorff_alpha(ratings, Scale::interval, no_interval).value, 0.5, 0.01);
  EXPECT_NEAR(*krippendorff_alpha(ratings, Scale::ordinal, no_interval).value, 0.48, 0.02);
  EXPECT_THAT(krippendorff_alpha(ratings, Scale::ratio).reason, HasSubstr("more than 1000"));
  EXPECT_THAT(fleiss_kappa(ratings).reason, HasSubstr("more than 1000"));
  EXPECT_THAT(gwet_ac(ratings).reason, HasSubstr("more than 1000"));
}

/// Ten subjects, fourteen raters, five categories, as counts: Fleiss (1971), quoted from Wikipedia.
std::vector<std::vector<double>> fourteen_raters() {
  constexpr int counts[10][5] = {
      {0, 0, 0, 0, 14}, {0, 2, 6, 4, 2}, {0, 0, 3, 5, 6}, {0, 3, 9, 2, 0}, {2, 2, 8, 1, 1},
      {7, 7, 0, 0, 0},  {3, 2, 6, 3, 0}, {2, 5, 3, 2, 2}, {6, 5, 2, 1, 0}, {0, 2, 2, 3, 7}};
  std::vector<std::vector<double>> rows;
  for (const auto& subject : counts) {
    rows.emplace_back();
    for (int category = 0; category < 5; ++category)
      rows.back().insert(rows.back().end(), static_cast<std::size_t>(subject[category]), category);
  }
  return rows;
}

TEST(FleissKappa, MatchesThePublishedValueOfFourteenRaters) {
  const auto kappa = fleiss_kappa(table(fourteen_raters()));
  EXPECT_NEAR(*kappa.value, 0.20993070442195522, 1e-9);
  EXPECT_EQ(kappa.n, 10);
  EXPECT_TRUE(kappa.ci);
}

TEST(FleissKappa, NeedsTheSameNumberOfValuesInEveryUnit) {
  EXPECT_THAT(fleiss_kappa(table({{1, 2, 1}, {1, 2, none}})).reason,
              HasSubstr("some have 3, some 2"));
  EXPECT_EQ(fleiss_kappa(table({{1}, {2}})).reason, "no unit has two values");
  EXPECT_EQ(fleiss_kappa(table({{1, 1}, {1, 1}})).reason, "only one value occurs");
  EXPECT_EQ(fleiss_kappa(table({{none, none}})).reason, "the table has no values");
}

TEST(GwetAc, MatchesTheKnownValueOfThreeCoders) {
  const auto ratings = table(test::three_coders());
  EXPECT_NEAR(*gwet_ac(ratings, Agreement::identity).value, 0.709164, 1e-6);
  EXPECT_NEAR(*gwet_ac(ratings, Agreement::linear).value, 0.773422, 1e-6);
  EXPECT_NEAR(*gwet_ac(ratings, Agreement::quadratic).value, 0.835239, 1e-6);
}

TEST(GwetAc, CountsCategoriesThatNoRaterChose) {
  // Observed 1/2; by chance Σ π (1 − π) / (q − 1) = (2 · 3/16) / (q − 1), and π = 3/4, 1/4.
  const auto ratings = table({{1, 2}, {1, 1}});
  EXPECT_NEAR(*gwet_ac(ratings).value, (0.5 - 0.375) / (1 - 0.375), 1e-12);
  const std::vector<double> three{3, 1, 2};
  EXPECT_NEAR(*gwet_ac(ratings, Agreement::identity, three).value, (0.5 - 0.1875) / (1 - 0.1875),
              1e-12);
  const std::vector<double> too_few{1, 3};
  EXPECT_THROW((void)gwet_ac(ratings, Agreement::identity, too_few), InvalidArgument);
}

TEST(CohenKappa, MatchesThePublishedValueOfTheSasTable) {
  constexpr int counts[3][3] = {{0, 4, 1}, {0, 8, 0}, {0, 1, 5}};
  std::vector<double> a, b;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      a.insert(a.end(), static_cast<std::size_t>(counts[i][j]), i);
      b.insert(b.end(), static_cast<std::size_t>(counts[i][j]), j);
    }
  EXPECT_NEAR(*cohen_kappa(a, b).value, 0.48416289592760187, 1e-9);
  EXPECT_NEAR(*cohen_kappa(a, b, Agreement::linear).value, 0.4701195219123506, 1e-9);
  EXPECT_NEAR(*cohen_kappa(a, b, Agreement::quadratic).value, 0.45016077170418, 1e-9);
  EXPECT_EQ(cohen_kappa(a, b).n, 19);
}

TEST(CohenKappa, IsUndefinedWithoutTwoCategories) {
  const std::vector<double> ones{1, 1}, nothing;
  EXPECT_EQ(cohen_kappa(ones, ones).reason, "only one value occurs");
  EXPECT_EQ(cohen_kappa(nothing, nothing).reason, "both raters rated no common unit");
  EXPECT_THROW((void)cohen_kappa(ones, nothing), InvalidArgument);
}

TEST(Ratings, TakeOneFiniteValuePerCell) {
  Ratings ratings(1, 1);
  EXPECT_THROW(ratings.set(0, 0, none), InvalidArgument);
  ratings.set(0, 0, 1);
  EXPECT_THROW(ratings.set(0, 0, 1), InvalidArgument);
  EXPECT_THROW(ratings.set(1, 0, 1), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::stats
