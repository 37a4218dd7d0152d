// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/stats/mean.hpp>

namespace sp2dpo::stats {
namespace {

TEST(Mean, HasAboutTheIntervalOfTheNormalApproximation) {
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(i % 4 == 0 ? 0 : 1);
  const auto mean = stats::mean(values);
  EXPECT_DOUBLE_EQ(mean.value.value(), 0.75);
  EXPECT_EQ(mean.n, 400);
  const double half = 1.96 * std::sqrt(0.75 * 0.25 / 400);
  EXPECT_NEAR(mean.ci->low, 0.75 - half, 0.006);
  EXPECT_NEAR(mean.ci->high, 0.75 + half, 0.006);
}

TEST(Mean, HasAnIntervalOfWidthZeroForConstantValues) {
  const std::vector<double> same(50, 0.25), none;
  EXPECT_DOUBLE_EQ(stats::mean(same).ci->low, 0.25);
  EXPECT_DOUBLE_EQ(stats::mean(same).ci->high, 0.25);
  EXPECT_FALSE(stats::mean(none).value.has_value());
  EXPECT_FALSE(stats::mean(none).reason.empty());
}

TEST(Mean, IsReproducibleForASeed) {
  std::vector<double> values;
  for (int i = 0; i < 30; ++i) values.push_back(std::sin(i));
  EXPECT_EQ(stats::mean(values, {.seed = 4}).ci, stats::mean(values, {.seed = 4}).ci);
  EXPECT_NE(stats::mean(values, {.seed = 4}).ci, stats::mean(values, {.seed = 5}).ci);
}

}  // namespace
}  // namespace sp2dpo::stats
