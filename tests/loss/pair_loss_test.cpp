// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pair_columns.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/pair_loss.hpp>

namespace sp2dpo {
namespace {

using test::Column;
using test::sink;
using test::view;

struct Batch {
  Column policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, margin, weight;

  [[nodiscard]] PairInputs inputs() const {
    return {view(policy_chosen),
            view(policy_rejected),
            view(reference_chosen),
            view(reference_rejected),
            view(beta),
            view(margin),
            view(weight)};
  }
  [[nodiscard]] std::int64_t pairs() const { return std::ssize(beta); }
};

struct Results {
  double sum = 0;
  Column loss, d_chosen, d_rejected, d_beta, d_margin, chosen_reward, rejected_reward, delta;
};

template <class Objective = Sigmoid>
Results run(const PairInputs& in, std::int64_t pairs, double gradient_scale = 1,
            const Objective& objective = {}) {
  Results out;
  for (Column* column : {&out.loss, &out.d_chosen, &out.d_rejected, &out.d_beta, &out.d_margin,
                         &out.chosen_reward, &out.rejected_reward, &out.delta})
    column->resize(static_cast<std::size_t>(pairs));
  out.sum = pair_loss(in,
                      {sink(out.loss), sink(out.d_chosen), sink(out.d_rejected), sink(out.d_beta),
                       sink(out.d_margin), sink(out.chosen_reward), sink(out.rejected_reward),
                       sink(out.delta), gradient_scale},
                      0, pairs, objective);
  return out;
}

/// Returns the loss of one pair and its slope by Δ.
Results at(double beta, double delta, double weight = 1) {
  return run({.policy_chosen = delta, .beta = beta, .weight = weight}, 1);
}
double loss_at(double beta, double delta) {
  return at(beta, delta).sum;
}
double strength(double beta, double delta) {
  return -at(beta, delta).d_chosen[0];
}

/// Returns where the decreasing function f crosses zero in [low, high].
template <class F>
double root(F f, double low, double high) {
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (f(middle) > 0 ? low : high) = middle;
  }
  return low;
}

Batch random_batch(std::int64_t pairs, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto column = [&](double low, double high) {
    Column values(static_cast<std::size_t>(pairs));
    std::uniform_real_distribution<double> uniform(low, high);
    for (double& value : values) value = uniform(random);
    return values;
  };
  return {column(-90, -10),  column(-90, -10), column(-90, -10), column(-90, -10),
          column(0.001, 10), column(-1, 1),    column(0, 3)};
}

void expect_near(const Column& actual, const Column& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], tolerance) << "pair " << i;
}

TEST(PairLoss, GivesTheGoldenNumbers) {
  const Batch batch{.policy_chosen = {-3.0, -2.5, -4.0, -1.5},
                    .policy_rejected = {-5.0, -3.5, -6.0, -2.5},
                    .reference_chosen = {-2.8, -2.3, -3.8, -1.4},
                    .reference_rejected = {-3.2, -2.7, -4.2, -1.8},
                    .beta = {0.03, 0.1, 0.2, 0.3},
                    .margin = {0, 0, 0, 0},
                    .weight = {1, 1, 1, 1}};
  const auto out = run(batch.inputs(), 4, 1.0 / 4);
  const Column d_chosen{-0.003660017276, -0.012125112460, -0.021033787393, -0.034134083072};
  expect_near(out.loss, {0.669435152916, 0.663597113076, 0.545892937180, 0.607191724841}, 1e-12);
  EXPECT_NEAR(out.sum / 4, 0.6215292320032973, 1e-15);
  expect_near(out.d_chosen, d_chosen, 1e-12);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(out.d_rejected[i], -out.d_chosen[i]);
  expect_near(out.d_beta, {-0.195200921388, -0.072750674757, -0.168270299141, -0.068268166144},
              1e-12);
  expect_near(out.chosen_reward, {-0.006, -0.02, -0.04, -0.03}, 1e-15);
  expect_near(out.rejected_reward, {-0.054, -0.08, -0.36, -0.21}, 1e-15);
  expect_near(out.delta, {1.6, 0.6, 1.6, 0.6}, 1e-15);
}

// Facts derived for a beta of each pair.

TEST(PairLoss, IsLogTwoWithSlopeMinusHalfBetaWherePolicyEqualsReference) {
  for (const double beta : {0.03, 0.1, 0.3, 2.0}) {
    const auto out = run({.policy_chosen = -7.0,
                          .policy_rejected = -9.0,
                          .reference_chosen = -7.0,
                          .reference_rejected = -9.0,
                          .beta = beta},
                         5, 1.0 / 5);
    EXPECT_DOUBLE_EQ(out.sum / 5, std::numbers::ln2);
    EXPECT_DOUBLE_EQ(out.d_chosen[3], -beta / (2 * 5));
  }
}

TEST(PairLoss, ActsLikeAWeightOnlyAtDeltaZero) {
  for (const double beta : {0.03, 0.3}) {
    const double common = 0.1;
    const double weight = beta / common;
    const auto ratio = [&](double delta) {
      return strength(beta, delta) / strength(common, delta);
    };
    EXPECT_DOUBLE_EQ(ratio(0), weight);
    EXPECT_DOUBLE_EQ(at(common, 0, weight).d_chosen[0], at(beta, 0).d_chosen[0]);
    EXPECT_DOUBLE_EQ(at(common, 0, weight).sum, weight * at(beta, 0).sum);

    // Proposition 1: whichever delta a weight is fitted at, it fails at the others.
    for (const double fitted : {-5.0, 0.0, 3.0})
      for (const double elsewhere : {-4.0, 1.0, 10.0})
        EXPECT_GT(std::fabs(ratio(elsewhere) / ratio(fitted) - 1), 0.02)
            << "beta " << beta << ", fitted at " << fitted << ", used at " << elsewhere;
  }
  EXPECT_LT(strength(0.3, 100) / strength(0.1, 100), 1e-7);
  EXPECT_GT(strength(0.03, 300) / strength(0.1, 300), 1e7);
}

TEST(PairLoss, HasTheLargestGradientAtOneBetaForEachDelta) {
  constexpr double x = 1.27846454276107;  // x · σ(x) = 1
  for (const double delta : {0.5, 4.0, 30.0}) {
    const double best = x / delta;
    EXPECT_GT(strength(best, delta), strength(best * 0.999, delta));
    EXPECT_GT(strength(best, delta), strength(best * 1.001, delta));
    EXPECT_NEAR(strength(best, delta), (x - 1) / delta, 1e-12);
  }
}

TEST(PairLoss, HasASmallerGradientForTheLargerBetaBeyondTheCrossing) {
  const auto crossing = [](double larger, double smaller) {
    return root([&](double d) { return strength(larger, d) - strength(smaller, d); }, 0, 100);
  };
  EXPECT_NEAR(crossing(0.3, 0.1), 10 * std::numbers::ln2, 1e-10);
  EXPECT_NEAR(crossing(0.3, 0.05), 8.87999847, 1e-8);
  EXPECT_NEAR(crossing(0.3, 0.03), 10.40237491, 1e-8);
  EXPECT_NEAR(crossing(0.1, 0.03), 21.65099368, 1e-8);
  EXPECT_NEAR(1.27846454276107 / 0.3, 4.2615, 5e-5);
}

TEST(PairLoss, ReachesALossAtASmallerDeltaForALargerBeta) {
  for (const double beta : {0.03, 0.1, 0.3})
    for (const double p : {0.6, 0.9}) {  // probability that the label is right
      const auto slope = [&](double delta) {
        const Sigmoid objective{.label_smoothing = 1 - p};
        return run({.policy_chosen = delta, .beta = beta}, 1, 1, objective).d_chosen[0];
      };
      const double best = root([&](double delta) { return -slope(delta); }, 0, 1000);
      EXPECT_NEAR(best, std::log(p / (1 - p)) / beta, 1e-9);
    }
}

TEST(PairLoss, DependsOnlyOnTheProductOfBetaAndDelta) {
  for (const double k : {0.25, 2.0, 8.0}) {  // powers of two: exact
    EXPECT_EQ(loss_at(k * 0.1, 3), loss_at(0.1, k * 3));
    EXPECT_EQ(strength(k * 0.1, 3), k * strength(0.1, k * 3));
  }
}

TEST(PairLoss, ChangesByZWhenTheResponsesAreSwapped) {
  auto batch = random_batch(257, 4);
  std::ranges::fill(batch.margin, 0.0);
  std::ranges::fill(batch.weight, 1.0);
  const auto before = run(batch.inputs(), batch.pairs());
  std::swap(batch.policy_chosen, batch.policy_rejected);
  std::swap(batch.reference_chosen, batch.reference_rejected);
  const auto after = run(batch.inputs(), batch.pairs());
  for (std::size_t i = 0; i < before.loss.size(); ++i) {
    const double z = batch.beta[i] * before.delta[i];
    EXPECT_NEAR(before.loss[i] - after.loss[i], -z, 1e-12 * std::fabs(z) + 1e-15);
    EXPECT_EQ(after.delta[i], -before.delta[i]);
    EXPECT_EQ(after.chosen_reward[i], before.rejected_reward[i]);
  }
}

// The batch.

TEST(PairLoss, HasTheDerivativesOfItsWeightedSum) {
  const auto batch = random_batch(16, 5);
  const double scale = 0.25;
  const auto out = run(batch.inputs(), batch.pairs(), scale, Sigmoid{0.1});
  const auto expect_difference = [&](Column Batch::*column, const Column& slope) {
    for (std::size_t i = 0; i < slope.size(); ++i) {
      const double h = 1e-6;
      auto up = batch;
      auto down = batch;
      (up.*column)[i] += h;
      (down.*column)[i] -= h;
      const double expected = scale *
                              (run(up.inputs(), up.pairs(), 1, Sigmoid{0.1}).sum -
                               run(down.inputs(), down.pairs(), 1, Sigmoid{0.1}).sum) /
                              (2 * h);
      EXPECT_NEAR(slope[i], expected, 1e-5 * std::fmax(1, std::fabs(expected))) << "pair " << i;
    }
  };
  expect_difference(&Batch::policy_chosen, out.d_chosen);
  expect_difference(&Batch::policy_rejected, out.d_rejected);
  expect_difference(&Batch::beta, out.d_beta);
  expect_difference(&Batch::margin, out.d_margin);
  EXPECT_NEAR(out.sum, std::accumulate(out.loss.begin(), out.loss.end(), 0.0), 1e-12 * out.sum);
}

TEST(PairLoss, PermutesItsOutputsWithItsPairs) {
  for (const std::int64_t pairs : {0, 1, 31, 33, 257}) {
    const auto batch = random_batch(pairs, 6);
    auto reversed = batch;
    for (Column* column :
         {&reversed.policy_chosen, &reversed.policy_rejected, &reversed.reference_chosen,
          &reversed.reference_rejected, &reversed.beta, &reversed.margin, &reversed.weight})
      std::ranges::reverse(*column);
    const auto expected = run(batch.inputs(), pairs);
    auto actual = run(reversed.inputs(), pairs);
    std::ranges::reverse(actual.loss);
    std::ranges::reverse(actual.d_chosen);
    EXPECT_EQ(actual.loss, expected.loss);
    EXPECT_EQ(actual.d_chosen, expected.d_chosen);
  }
}

TEST(PairLoss, TakesOneNumberForAllPairs) {
  auto batch = random_batch(33, 7);
  std::ranges::fill(batch.beta, 0.1);
  std::ranges::fill(batch.margin, 0.5);
  std::ranges::fill(batch.weight, 2.0);
  auto numbers = batch.inputs();
  numbers.beta = 0.1;
  numbers.margin = 0.5;
  numbers.weight = 2.0;
  const auto expected = run(batch.inputs(), batch.pairs());
  const auto actual = run(numbers, batch.pairs());
  EXPECT_EQ(actual.loss, expected.loss);
  EXPECT_EQ(actual.d_beta, expected.d_beta);
  EXPECT_EQ(actual.sum, expected.sum);
}

TEST(PairLoss, MultipliesLossAndGradientByTheWeightButNotTheRewards) {
  auto batch = random_batch(32, 8);
  const auto weighted = run(batch.inputs(), batch.pairs());
  const auto weight = batch.weight;
  std::ranges::fill(batch.weight, 1.0);
  const auto plain = run(batch.inputs(), batch.pairs());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    EXPECT_DOUBLE_EQ(weighted.loss[i], weight[i] * plain.loss[i]);
    EXPECT_DOUBLE_EQ(weighted.d_chosen[i], weight[i] * plain.d_chosen[i]);
    EXPECT_DOUBLE_EQ(weighted.d_margin[i], weight[i] * plain.d_margin[i]);
    EXPECT_EQ(weighted.chosen_reward[i], plain.chosen_reward[i]);
  }
}

TEST(PairLoss, ReadsAndWritesWithStrides) {
  const auto batch = random_batch(5, 9);
  Column spread(15, 1e9);
  for (std::size_t i = 0; i < 5; ++i) spread[3 * i] = batch.policy_chosen[i];
  auto in = batch.inputs();
  in.policy_chosen = {spread.data(), DType::float64, 3};
  Column loss(10, -1);
  pair_loss(in, {.loss = {loss.data(), DType::float64, 2}}, 0, 5, Sigmoid{});
  const auto expected = run(batch.inputs(), 5);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(loss[2 * i], expected.loss[i]);
    EXPECT_EQ(loss[2 * i + 1], -1);
  }
  // From the last pair to the first.
  const Column reversed(batch.policy_chosen.rbegin(), batch.policy_chosen.rend());
  in.policy_chosen = {&reversed[4], DType::float64, -1};
  EXPECT_EQ(run(in, 5).loss, expected.loss);
}

TEST(PairLoss, ReadsEveryElementTypeAndComputesInDouble) {
  const std::array<double, 3> chosen{-10.5, -3.25, -7};  // exact in all four
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64}) {
    std::array<double, 3> memory{};
    std::array<double, 3> gradient{};
    for (int i = 0; i < 3; ++i)
      detail::store(memory.data(), dtype, i, chosen[static_cast<std::size_t>(i)]);
    Column loss(3);
    pair_loss({.policy_chosen = {memory.data(), dtype}, .policy_rejected = -6, .beta = 0.1},
              {.loss = sink(loss), .d_policy_chosen = {gradient.data(), dtype}}, 0, 3, Sigmoid{});
    for (std::size_t i = 0; i < 3; ++i) {
      const double z = 0.1 * (chosen[i] + 6);
      EXPECT_NEAR(loss[i], std::log1p(std::exp(-z)), 1e-15) << name_of(dtype);
      const double expected = -0.1 / (1 + std::exp(z));
      const double unit = dtype == DType::float64   ? 1e-15
                          : dtype == DType::float32 ? 6e-8
                          : dtype == DType::float16 ? 4.9e-4
                                                    : 4e-3;
      EXPECT_NEAR(detail::load(gradient.data(), dtype, static_cast<std::int64_t>(i)), expected,
                  unit * std::fabs(expected))
          << name_of(dtype);
    }
  }
}

TEST(PairLoss, StaysFiniteFarOut) {
  for (const double delta : {1e4, -1e4, 1e8, -1e8}) {
    const auto out = at(0.3, delta);
    EXPECT_TRUE(std::isfinite(out.sum) && std::isfinite(out.d_chosen[0]) &&
                std::isfinite(out.d_beta[0]))
        << delta;
  }
}

TEST(PairLoss, KeepsTheNanOfOnePairFromTheOthers) {
  auto batch = random_batch(3, 10);
  const auto expected = run(batch.inputs(), 3);
  batch.policy_rejected[1] = std::nan("");
  const auto out = run(batch.inputs(), 3);
  EXPECT_TRUE(std::isnan(out.loss[1]) && std::isnan(out.d_chosen[1]) && std::isnan(out.sum));
  EXPECT_EQ(out.loss[0], expected.loss[0]);
  EXPECT_EQ(out.d_chosen[2], expected.d_chosen[2]);
}

// A null array.

TEST(PairLoss, RefusesANullArrayByName) {
  const PairOutputs out{};
  for (const auto& [input, name] : test::pair_inputs) {
    PairInputs in{.beta = 0.1};
    in.*input = {nullptr, DType::float32};
    const auto refuses =
        testing::ThrowsMessage<InvalidArgument>("pair_loss: in." + name +
                                                " is null; expected a number, or one value per "
                                                "pair");
    EXPECT_THAT([&] { pair_loss(in, out, 0, 2, Sigmoid{}); }, refuses);
    EXPECT_THAT([&] { AnyObjective(Sigmoid{}).pair_loss(in.from(3), out, 0, 2); }, refuses);
    EXPECT_EQ(pair_loss(in, out, 2, 2, Sigmoid{}), 0) << "no pairs, nothing to read";
    EXPECT_TRUE(std::isnan(pair_step(in, out, Sigmoid{}, 1))) << name << " is null";
  }
}

/// A custom objective, (1 − z)².
struct Squared {
  template <class T>
  ZTerm<T> operator()(T z) const {
    return {(1 - z) * (1 - z), -2 * (1 - z)};
  }
};

TEST(PairLoss, TakesACustomObjective) {
  const auto out = run({.policy_chosen = 4.0, .beta = 0.5}, 1, 1, Squared{});
  EXPECT_EQ(out.sum, 1);
  EXPECT_EQ(out.d_chosen[0], 1);   // 2 · (z − 1) · beta
  EXPECT_EQ(out.d_beta[0], 8);     // 2 · (z − 1) · Δ
  EXPECT_EQ(out.d_margin[0], -2);  // −2 · (z − 1)
}

}  // namespace
}  // namespace sp2dpo
