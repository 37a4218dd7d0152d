// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include <sp2dpo/loss/objective.hpp>

namespace sp2dpo {
namespace {

/// −log σ(a) − log σ(−b) with a, b the rewards: treats chosen and rejected differently.
struct Unpaired {
  template <class T>
  PairTerm<T> operator()(T chosen, T rejected, T beta, T) const {
    const T up = detail::sigmoid(-beta * chosen);
    const T down = detail::sigmoid(beta * rejected);
    return {detail::softplus(-beta * chosen) + detail::softplus(beta * rejected), -beta * up,
            beta * down, -chosen * up + rejected * down, T(0)};
  }
};

static_assert(ZObjective<Sigmoid> && !TwoSidedObjective<Sigmoid>);
static_assert(TwoSidedObjective<Unpaired> && !ZObjective<Unpaired>);

/// Slope of f at x, by central difference.
template <class F>
double difference(F f, double x) {
  const double h = 1e-5 * std::fmax(1, std::fabs(x));
  return (f(x + h) - f(x - h)) / (2 * h);
}

TEST(Sigmoid, IsLogTwoWithSlopeMinusOneHalfAtZero) {
  for (const double smoothing : {0.0, 0.1, 0.4}) {
    const auto term = Sigmoid{smoothing}(0.0);
    EXPECT_DOUBLE_EQ(term.value, std::numbers::ln2);
    EXPECT_DOUBLE_EQ(term.slope, smoothing - 0.5);
  }
}

TEST(Sigmoid, HasTheClosedFormsOfItsDefinition) {
  for (const double smoothing : {0.0, 0.1, 0.4})
    for (double z = -8; z <= 8; z += 0.37) {
      const double sigma = 1 / (1 + std::exp(-z));
      const double expected = -(1 - smoothing) * std::log(sigma) - smoothing * std::log(1 - sigma);
      EXPECT_NEAR(Sigmoid{smoothing}(z).value, expected, 1e-12) << z;
    }
}

TEST(Sigmoid, HasTheCentralDifferenceOfItsValueForASlope) {
  for (const double smoothing : {0.0, 0.1, 0.4}) {
    const Sigmoid objective{smoothing};
    for (double z = -40; z <= 40; z += 0.61)
      EXPECT_NEAR(objective(z).slope, difference([&](double x) { return objective(x).value; }, z),
                  1e-8)
          << z;
  }
}

TEST(Sigmoid, IsConvex) {
  double before = -1;
  for (double z = -50; z <= 50; z += 0.5) {
    const double slope = Sigmoid{}(z).slope;
    EXPECT_GE(slope, before) << z;
    before = slope;
  }
}

TEST(Sigmoid, StaysFiniteAndExactFarOut) {
  for (const double z : {1e4, 1e300}) {
    EXPECT_EQ(Sigmoid{}(z).value, 0);
    EXPECT_EQ(Sigmoid{}(z).slope, 0);
    EXPECT_EQ(Sigmoid{}(-z).value, z);
    EXPECT_EQ(Sigmoid{}(-z).slope, -1);
    EXPECT_DOUBLE_EQ(Sigmoid{0.1}(z).value, 0.1 * z);
    EXPECT_DOUBLE_EQ(Sigmoid{0.1}(-z).value, 0.9 * z);
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(Sigmoid{}(infinity).value, 0);
  EXPECT_EQ(Sigmoid{}(infinity).slope, 0);
  EXPECT_EQ(Sigmoid{}(-infinity).value, infinity);
  EXPECT_EQ(Sigmoid{}(-infinity).slope, -1);
  // No cancellation: e^−z is what is left of both where 1 + e^−z would be 1.
  EXPECT_DOUBLE_EQ(Sigmoid{}(40.0).value, std::exp(-40.0));
  EXPECT_DOUBLE_EQ(Sigmoid{}(40.0).slope, -std::exp(-40.0));
}

TEST(Sigmoid, PropagatesNan) {
  EXPECT_TRUE(std::isnan(Sigmoid{}(std::nan("")).value));
  EXPECT_TRUE(std::isnan(Sigmoid{}(std::nan("")).slope));
}

TEST(Sigmoid, DiffersFromItsMirrorImageByZ) {
  for (const double z : {0.1, 1.0, 7.5, 300.0})
    EXPECT_DOUBLE_EQ(Sigmoid{}(z).value - Sigmoid{}(-z).value, -z);
}

template <class Objective>
void expect_derivatives_of_the_value(const Objective& objective) {
  for (const double chosen : {-3.0, 0.4, 2.0})
    for (const double rejected : {-1.5, 0.2})
      for (const double beta : {0.03, 0.3, 2.0})
        for (const double margin : {0.0, 0.7}) {
          const auto term = pair_term(objective, chosen, rejected, beta, margin);
          const auto at = [&](double c, double r, double b, double m) {
            return pair_term(objective, c, r, b, m).value;
          };
          constexpr double near = 1e-8;
          EXPECT_NEAR(term.d_delta_chosen,
                      difference([&](double x) { return at(x, rejected, beta, margin); }, chosen),
                      near);
          EXPECT_NEAR(term.d_delta_rejected,
                      difference([&](double x) { return at(chosen, x, beta, margin); }, rejected),
                      near);
          EXPECT_NEAR(term.d_beta,
                      difference([&](double x) { return at(chosen, rejected, x, margin); }, beta),
                      near);
          EXPECT_NEAR(term.d_margin,
                      difference([&](double x) { return at(chosen, rejected, beta, x); }, margin),
                      near);
        }
}

TEST(PairTerm, ContainsTheDerivativesOfItsValue) {
  expect_derivatives_of_the_value(Sigmoid{});
  expect_derivatives_of_the_value(Sigmoid{0.2});
  expect_derivatives_of_the_value(Unpaired{});
}

TEST(PairTerm, TakesTheMarginInRewardUnits) {
  // −log σ(0.5 · (3 − 1) − 1) = −log σ(0)
  EXPECT_DOUBLE_EQ(pair_term(Sigmoid{}, 3.0, 1.0, 0.5, 1.0).value, std::numbers::ln2);
}

}  // namespace
}  // namespace sp2dpo
