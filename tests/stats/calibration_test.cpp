// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/stats/calibration.hpp>

namespace sp2dpo::stats {
namespace {

std::vector<ScoredVerdict> eight() {
  return {{.95, 1}, {.9, 1}, {.85, 1}, {.8, 0}, {.7, 1}, {.6, 0}, {.55, 1}, {.5, 0}};
}

TEST(Calibration, MatchesAWorkedExample) {
  EXPECT_NEAR(brier_score(eight()), 0.1971875, 1e-12);
  EXPECT_NEAR(expected_calibration_error(reliability(eight(), 2)), 0.10625, 1e-12);
  EXPECT_NEAR(expected_calibration_error(reliability(eight(), 4)), 0.14375, 1e-12);
  const Isotonic isotonic(eight());
  EXPECT_DOUBLE_EQ(isotonic(0.5), 0);
  for (const double score : {.55, .6, .65, .7, .8}) EXPECT_DOUBLE_EQ(isotonic(score), 0.5);
  for (const double score : {.85, .9, .95, 2.0}) EXPECT_DOUBLE_EQ(isotonic(score), 1);
  EXPECT_NEAR(isotonic(0.525), 0.25, 1e-12);
  EXPECT_DOUBLE_EQ(isotonic(-1), 0);
}

TEST(Calibration, KeepsEqualScoresInOneBin) {
  const std::vector<ScoredVerdict> verdicts{{.5, 0}, {.5, 1}, {.5, 1}, {.5, 0}, {.9, 1}, {.9, 1}};
  const auto bins = reliability(verdicts, 3);
  ASSERT_EQ(bins.size(), 2u);
  EXPECT_EQ(bins[0].n, 4);
  EXPECT_DOUBLE_EQ(bins[0].right, 0.5);
  EXPECT_DOUBLE_EQ(bins[1].right, 1);
}

/// The least-squares fit among non-decreasing functions, from the min-max formula.
std::vector<double> min_max(const std::vector<double>& right) {
  std::vector<double> result;
  for (std::size_t i = 0; i < right.size(); ++i) {
    double best = -std::numeric_limits<double>::infinity();
    for (std::size_t a = 0; a <= i; ++a) {
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t b = i; b < right.size(); ++b) {
        double sum = 0;
        for (std::size_t j = a; j <= b; ++j) sum += right[j];
        least = std::min(least, sum / static_cast<double>(b - a + 1));
      }
      best = std::max(best, least);
    }
    result.push_back(best);
  }
  return result;
}

TEST(Calibration, IsotonicEqualsTheMinMaxFormula) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 20; ++round) {
    std::vector<ScoredVerdict> verdicts;
    std::vector<double> right;
    for (int i = 0; i < 25; ++i) {
      right.push_back(static_cast<double>(random() % 3) / 2);
      verdicts.push_back({static_cast<double>(i), right.back()});
    }
    std::shuffle(verdicts.begin(), verdicts.end(), random);
    const Isotonic isotonic(verdicts);
    const auto expected = min_max(right);
    for (std::size_t i = 0; i < right.size(); ++i)
      EXPECT_NEAR(isotonic(static_cast<double>(i)), expected[i], 1e-12);
  }
}

TEST(Calibration, PlattIsStationaryAtItsOptimum) {
  const Platt platt(eight());
  // The gradient of the likelihood for Platt's targets: 6/7 for the five right, 1/5 for the others.
  double by_slope = 0, by_offset = 0;
  for (const auto& [score, right] : eight()) {
    const double residual = platt(score) - (right == 1 ? 6.0 / 7 : 1.0 / 5);
    by_slope += residual * score;
    by_offset += residual;
  }
  EXPECT_NEAR(by_slope, 0, 1e-10);
  EXPECT_NEAR(by_offset, 0, 1e-10);
  EXPECT_GT(platt.slope(), 0);
}

TEST(Calibration, PlattPredictsTheMeanForEqualScores) {
  const Platt platt(std::vector<ScoredVerdict>{{.5, 1}, {.5, 1}, {.5, 0}});
  EXPECT_NEAR(platt(.5), (2 * 0.75 + 1.0 / 3) / 3, 1e-10);
}

TEST(Calibration, StaysFiniteForSeparableScores) {
  const Platt platt(std::vector<ScoredVerdict>{{.1, 0}, {.2, 0}, {.8, 1}, {.9, 1}});
  EXPECT_TRUE(std::isfinite(platt.slope()));
  EXPECT_LT(platt(.9), 1);
}

TEST(Calibration, RejectsInvalidVerdicts) {
  const std::vector<ScoredVerdict> nan{{std::nan(""), 1}}, wrong{{.5, 2}}, none;
  EXPECT_THROW((void)Isotonic(nan), InvalidArgument);
  EXPECT_THROW((void)Platt(wrong), InvalidArgument);
  EXPECT_THROW((void)reliability(none), InvalidArgument);
  EXPECT_THROW((void)reliability(eight(), 0), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::stats
