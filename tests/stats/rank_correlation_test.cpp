// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::stats {
namespace {

const std::vector<double> a{1, 2, 2, 3, 4, 5, 5, 5, 6, 7};
const std::vector<double> b{2, 1, 3, 3, 5, 4, 6, 6, 7, 5};

TEST(RankCorrelation, MatchesScipyOnListsWithTies) {
  EXPECT_NEAR(*spearman(a, b).value, 0.8229972417186726, 1e-12);
  EXPECT_NEAR(*kendall_tau_b(a, b).value, 0.6988459044322258, 1e-12);
  EXPECT_EQ(spearman(a, b).n, 10);
}

TEST(RankCorrelation, DependsOnRanksOnly) {
  std::vector<double> grown = a, fallen = b;
  for (double& x : grown) x = std::exp(x);
  for (double& x : fallen) x = -x * x * x;
  EXPECT_NEAR(*spearman(grown, fallen).value, -*spearman(a, b).value, 1e-12);
  EXPECT_NEAR(*kendall_tau_b(fallen, grown).value, -*kendall_tau_b(a, b).value, 1e-12);
}

TEST(KendallTauB, EqualsItsDefinitionOnRandomLists) {
  std::mt19937 random(5);
  for (std::size_t n = 2; n < 60; ++n) {
    std::vector<double> x(n), y(n);
    for (std::size_t i = 0; i < n; ++i)
      x[i] = static_cast<double>(random() % 7), y[i] = static_cast<double>(random() % 9);
    x[0] = -1;
    x[1] = -2;
    y[0] = -1;
    y[1] = -2;
    double agree = 0, in_x = 0, in_y = 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const int dx = (x[i] > x[j]) - (x[i] < x[j]), dy = (y[i] > y[j]) - (y[i] < y[j]);
        agree += dx * dy;
        in_x += dx * dx;
        in_y += dy * dy;
      }
    EXPECT_NEAR(*kendall_tau_b(x, y).value, agree / std::sqrt(in_x * in_y), 1e-12);
  }
}

TEST(RankCorrelation, IsUndefinedIfAListIsConstant) {
  const std::vector<double> same{3, 3, 3}, other{1, 2, 3}, one{1};
  EXPECT_EQ(spearman(same, other).reason, "one list is constant");
  EXPECT_EQ(kendall_tau_b(other, same).reason, "one list is constant");
  EXPECT_EQ(spearman(one, one).reason, "both raters rated fewer than two common units");
  EXPECT_THROW((void)kendall_tau_b(one, other), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::stats
