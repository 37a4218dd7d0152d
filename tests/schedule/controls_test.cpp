// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/controls.hpp>

namespace sp2dpo {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

ScheduleEntry entry(std::string id, double gap) {
  const SemanticGap said{.value = gap};
  return {std::move(id), Linear()(said), said, Linear().clip(said)};
}

/// Returns pairs with the gaps 0, 0.5 and 2, and one without a gap.
Schedule four() {
  std::vector<ScheduleEntry> entries{entry("a", 0), entry("b", 0.5), entry("c", 2)};
  entries.push_back({.id = "d", .beta = 0.1});
  return Schedule(std::move(entries));
}

std::vector<double> betas(const Schedule& schedule) {
  std::vector<double> result;
  for (const auto& entry : schedule.entries()) result.push_back(entry.beta);
  return result;
}

std::vector<ScheduleEntry> many(int n, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> gap(0, 1);
  std::vector<ScheduleEntry> entries;
  for (int i = 0; i < n; ++i) entries.push_back(entry("pair-" + std::to_string(i), gap(random)));
  return entries;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Pearson's correlation.
double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const double mx = mean(x), my = mean(y);
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xy / std::sqrt(xx * yy);
}

TEST(Averaged, GivesEveryPairWithAGapTheMeanOfAllBetas) {
  const auto made = averaged(four());
  const double middle = (0.03 + 0.165 + 0.3 + 0.1) / 4;
  EXPECT_THAT(betas(made), ElementsAre(DoubleEq(middle), DoubleEq(middle), DoubleEq(middle), 0.1));
  EXPECT_EQ(made.entries()[2].clipped, Clip::none);
  EXPECT_EQ(made.entries()[1].gap->value, 0.5);
}

TEST(Inverted, MirrorsBetasInTheEnvelope) {
  const auto made = betas(inverted(four()));
  EXPECT_DOUBLE_EQ(made[0], 0.3);
  EXPECT_DOUBLE_EQ(made[1], 0.165);
  EXPECT_DOUBLE_EQ(made[2], 0.03);
  EXPECT_EQ(made[3], 0.1) << "the beta stated for pairs without a gap";
  EXPECT_THAT(
      [] {
        (void)inverted(four(), {0.01, 0.05});
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("pair b")));
}

TEST(Shuffled, KeepsTheBetasAndBreaksTheirTieToTheGaps) {
  const Schedule schedule(many(2000));
  const auto before = betas(schedule);
  for (const std::uint64_t seed : {0u, 1u, 2u}) {
    auto after = betas(shuffled(schedule, seed));
    EXPECT_LT(std::abs(correlation(before, after)), 4 / std::sqrt(2000.0)) << seed;
    auto sorted = before;
    std::ranges::sort(sorted);
    std::ranges::sort(after);
    EXPECT_EQ(after, sorted) << seed;
  }
  EXPECT_NE(betas(shuffled(schedule, 1)), betas(shuffled(schedule, 2)));
  EXPECT_EQ(betas(shuffled(four(), 5))[3], 0.1);
}

TEST(Shuffled, GivesEveryPairEveryBetaWithEqualProbability) {
  std::vector<ScheduleEntry> entries{entry("a", 0), entry("b", 0.5), entry("c", 1)};
  const Schedule schedule(std::move(entries));
  int counts[3][3] = {};
  constexpr int deals = 9000;
  for (std::uint64_t seed = 0; seed < deals; ++seed) {
    const auto dealt = betas(shuffled(schedule, seed));
    for (std::size_t pair = 0; pair < 3; ++pair)
      for (std::size_t from = 0; from < 3; ++from)
        counts[pair][from] += dealt[pair] == schedule.entries()[from].beta;
  }
  for (const auto& row : counts)
    for (const int count : row)
      EXPECT_NEAR(count, deals / 3, 4 * std::sqrt(deals * 2.0 / 9)) << "four standard deviations";
}

TEST(Randomized, DrawsUniformlyAndIndependentlyOfTheGap) {
  const Schedule schedule(many(20000));
  const auto drawn = betas(randomized(schedule, 0));
  const double deviation = 0.27 / std::sqrt(12.0);
  EXPECT_NEAR(mean(drawn), 0.165, 4 * deviation / std::sqrt(20000.0));
  double square = 0;
  for (const double beta : drawn) square += (beta - 0.165) * (beta - 0.165);
  EXPECT_NEAR(std::sqrt(square / 20000), deviation, 0.001);
  int bins[10] = {};
  for (const double beta : drawn) {
    ASSERT_TRUE(0.03 <= beta && beta < 0.3);
    ++bins[static_cast<int>((beta - 0.03) / 0.27 * 10)];
  }
  for (const int count : bins) EXPECT_NEAR(count, 2000, 4 * std::sqrt(1800.0));
  EXPECT_LT(std::abs(correlation(drawn, betas(schedule))), 4 / std::sqrt(20000.0));
  EXPECT_LT(std::abs(correlation(drawn, betas(randomized(schedule, 1)))), 4 / std::sqrt(20000.0));
}

// Expected values come from an independent implementation of the published SplitMix64.
TEST(Randomized, GivesAnIdTheSameBetaInEveryVersion) {
  const Schedule schedule(std::vector{entry("a", 0), entry("b", 0), entry("d\u00e9", 0)});
  const auto zero = betas(randomized(schedule, 0));
  EXPECT_DOUBLE_EQ(zero[0], 0.18166329876997148);
  EXPECT_DOUBLE_EQ(zero[1], 0.22875798285904583);
  const auto seven = betas(randomized(schedule, 7));
  EXPECT_DOUBLE_EQ(seven[0], 0.2415960603471179);
  EXPECT_DOUBLE_EQ(seven[2], 0.2734704434668642);
}

TEST(Controls, DoNotDependOnTheOrderOfThePairs) {
  auto entries = many(300);
  const Schedule schedule(entries);
  std::mt19937_64 random(3);
  std::ranges::shuffle(entries, random);
  const Schedule other(std::move(entries));
  const auto same = [&](const auto& control) {
    const Schedule mine = control(schedule), theirs = control(other);
    for (const auto& entry : mine.entries()) {
      ASSERT_EQ(entry.beta, theirs.find(entry.id)->beta) << entry.id;
      ASSERT_EQ(entry.weight, theirs.find(entry.id)->weight) << entry.id;
    }
  };
  same([](const Schedule& s) { return shuffled(s, 9); });
  same([](const Schedule& s) { return randomized(s, 9); });
  same([](const Schedule& s) { return weighted(s); });
  same([](const Schedule& s) { return averaged(s); });
}

TEST(Weighted, GivesOneBetaAndWeightsOfMeanOne) {
  const Schedule made = weighted(four());
  const double middle = (0.03 + 0.165 + 0.3 + 0.1) / 4;
  const double were[] = {0.03, 0.165, 0.3, 0.1};
  double sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& entry = made.entries()[i];
    EXPECT_DOUBLE_EQ(entry.beta, middle);
    EXPECT_DOUBLE_EQ(*entry.weight * entry.beta, were[i]) << "the gradient where delta is 0";
    sum += *entry.weight;
  }
  EXPECT_DOUBLE_EQ(sum / 4, 1);
  EXPECT_EQ(made.entries()[2].clipped, Clip::high);
  EXPECT_THROW((void)weighted(Schedule({})), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo
