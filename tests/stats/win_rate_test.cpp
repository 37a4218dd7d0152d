// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/stats/win_rate.hpp>

namespace sp2dpo::stats {
namespace {

/// Judgments drawn from the model with the given weights.
std::vector<Comparison> judged(double by_length, double by_difficulty, double bias) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  std::vector<Comparison> comparisons(2000);
  double sum = 0, squares = 0;
  for (auto& row : comparisons) {
    row = {.len_baseline = 5000 + 500 * normal(random),
           .len_model = 5000,
           .difficulty = normal(random)};
    sum += row.len_baseline - row.len_model;
    squares += std::pow(row.len_baseline - row.len_model, 2);
  }
  const double n = 2000, scale = std::sqrt((squares - sum * sum / n) / (n - 1));
  for (auto& row : comparisons) {
    const double z = by_length * std::tanh((row.len_baseline - row.len_model) / scale) +
                     by_difficulty * row.difficulty + bias;
    row.win = 1 / (1 + std::exp(-z));
  }
  return comparisons;
}

TEST(WinRate, IsTheMeanWithItsStandardError) {
  const std::vector<Comparison> rows{{.win = 0}, {.win = 1}, {.win = 0.5}, {.win = 1}};
  const auto rate = win_rate(rows);
  EXPECT_DOUBLE_EQ(rate.value, 62.5);
  EXPECT_NEAR(*rate.standard_error, 100 * std::sqrt(0.6875 / 3 / 4), 1e-12);
  EXPECT_FALSE(win_rate(std::vector<Comparison>{{.win = 1}}).standard_error);
}

TEST(LengthControlledWinRate, RecoversTheWeightsThatMadeTheJudgments) {
  const auto rows = judged(-0.8, 0.6, 0.3);
  const auto result = length_controlled_win_rate(rows, {.c = 1e9});
  EXPECT_NEAR(result.weights[0], -0.8, 1e-6);
  EXPECT_NEAR(result.weights[1], 0.6, 1e-6);
  EXPECT_NEAR(result.weights[2], 0.3, 1e-6);
  double sum = 0;
  for (const auto& row : rows) sum += 1 / (1 + std::exp(-0.3 - 0.6 * row.difficulty));
  EXPECT_NEAR(result.rate->value, 100 * sum / 2000, 1e-4);
}

TEST(LengthControlledWinRate, IsOneHalfForTheBaselineItself) {
  const auto result = length_controlled_win_rate(judged(0, 0, 0), {});
  EXPECT_EQ(result.weights, (std::array<double, 3>{0, 0, 0}));
  EXPECT_EQ(result.rate->value, 50);
}

TEST(LengthControlledWinRate, IsUndefinedIfLengthsDoNotVary) {
  const std::vector<Comparison> rows{{.len_model = 1, .win = 1}, {.len_model = 1, .win = 0}};
  EXPECT_FALSE(length_controlled_win_rate(rows, {}).rate);
  EXPECT_EQ(length_controlled_win_rate(rows, {}).reason, "all differences in length are equal");
  EXPECT_THROW((void)length_controlled_win_rate(rows, {.c = 0}), InvalidArgument);
  EXPECT_THROW((void)win_rate({}), InvalidArgument);
  EXPECT_THROW((void)win_rate(std::vector<Comparison>{{.win = 1.5}}), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::stats
