// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>
#include <sp2dpo/loss/pair_curvature.hpp>

namespace sp2dpo {
namespace {

using detail::Dual;
using Vector = std::array<double, 4>;  // policy_chosen, policy_rejected, beta, margin

constexpr double scale = 0.25;
constexpr double weight = 1.7;

PairInputs inputs(const Vector& at) {
  return {.policy_chosen = at[0],
          .policy_rejected = at[1],
          .reference_chosen = -20.5,
          .reference_rejected = -31.0,
          .beta = at[2],
          .margin = at[3],
          .weight = weight};
}

PairOutputs outputs(Vector& gradient, double& loss) {
  const auto sink = [](double& number) { return PairSink(&number, DType::float64); };
  return {.loss = sink(loss),
          .d_policy_chosen = sink(gradient[0]),
          .d_policy_rejected = sink(gradient[1]),
          .d_beta = sink(gradient[2]),
          .d_margin = sink(gradient[3]),
          .gradient_scale = scale};
}

Vector gradient(const AnyObjective& objective, const Vector& at) {
  Vector result{};
  double loss = 0;
  objective.pair_loss(inputs(at), outputs(result, loss), 0, 1);
  return result;
}

struct Curvature {
  Vector product{};  ///< Hessian · direction
  double loss = 0;
};

Curvature curvature(const AnyObjective& objective, const Vector& at, const Vector& v) {
  Curvature result;
  objective.pair_curvature(inputs(at), {v[0], v[1], v[2], v[3]},
                           outputs(result.product, result.loss), 0, 1);
  return result;
}

Vector moved(const Vector& at, double step, const Vector& v) {
  Vector result = at;
  for (std::size_t k = 0; k < 4; ++k) result[k] += step * v[k];
  return result;
}

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t k = 0; k < 4; ++k) sum += a[k] * b[k];
  return sum;
}

template <class F>
void for_each_case(F f) {
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> uniform(-1, 1);
  const auto vector = [&] {
    return Vector{uniform(random), uniform(random), uniform(random), uniform(random)};
  };
  const std::vector<AnyObjective> objectives{
      Sigmoid{},     Sigmoid{0.1}, Hinge{},    Robust{0.2}, ExoPair{}, DiscoPop{}, DiscoPop{2},
      SigmoidNorm{}, Ipo{},        SppoHard{}, NcaPair{},   BcoPair{}, ApoZero{},  ApoDown{}};
  for (const AnyObjective& objective : objectives)
    for (int i = 0; i < 20; ++i) {
      const Vector u = vector();
      const Vector at{-20.5 + 6 * u[0], -31 + 6 * u[1], 0.4 + 0.3 * u[2], u[3]};
      const Vector v = vector();
      const Vector w = vector();
      SCOPED_TRACE(testing::Message() << objective.name() << ", case " << i);
      f(objective, at, v, w);
    }
}

TEST(PairCurvature, IsTheCentralDifferenceOfTheGradient) {
  for_each_case([](const AnyObjective& objective, const Vector& at, const Vector& v,
                   const Vector&) {
    const double h = 1e-6;
    const Vector up = gradient(objective, moved(at, h, v));
    const Vector down = gradient(objective, moved(at, -h, v));
    const Vector product = curvature(objective, at, v).product;
    for (std::size_t k = 0; k < 4; ++k) {
      const double expected = (up[k] - down[k]) / (2 * h);
      EXPECT_NEAR(product[k], expected, 1e-6 * std::fmax(1, std::fabs(expected))) << "input " << k;
    }
  });
}

TEST(PairCurvature, GivesTheLossItsSlopeAlongTheDirection) {
  for_each_case(
      [](const AnyObjective& objective, const Vector& at, const Vector& v, const Vector&) {
        // The gradient has the scale in it, the loss has not.
        const double expected = dot(gradient(objective, at), v) / scale;
        EXPECT_NEAR(curvature(objective, at, v).loss, expected,
                    1e-13 * std::fmax(1, std::fabs(expected)));
      });
}

TEST(PairCurvature, IsSymmetric) {
  for_each_case(
      [](const AnyObjective& objective, const Vector& at, const Vector& v, const Vector& w) {
        const double there = dot(w, curvature(objective, at, v).product);
        const double back = dot(v, curvature(objective, at, w).product);
        EXPECT_NEAR(there, back, 1e-12 * std::fmax(1, std::fabs(there)));
      });
}

/// (1 − z)², whose slope is 0 at z = 1.
struct Parabola {
  template <class T>
  ZTerm<T> operator()(T z) const {
    return {(1 - z) * (1 - z), -2 * (1 - z)};
  }
};

/// Where a slope is exactly 0, its own derivative is not.
TEST(PairCurvature, IsSymmetricWhereASlopeIsZero) {
  const auto expect = [](const AnyObjective& objective, double delta_chosen, double delta_rejected,
                         double beta) {
    SCOPED_TRACE(testing::Message()
                 << objective.name() << " at " << delta_chosen << ", " << delta_rejected);
    const Vector at{-20.5 + delta_chosen, -31 + delta_rejected, beta, 0};
    for (std::size_t i = 0; i < 4; ++i) {
      Vector e{};
      e[i] = 1;
      const Vector column = curvature(objective, at, e).product;
      const double h = 1e-6;
      const Vector up = gradient(objective, moved(at, h, e)),
                   down = gradient(objective, moved(at, -h, e));
      for (std::size_t k = 0; k < 4; ++k) {
        Vector f{};
        f[k] = 1;
        EXPECT_NEAR(column[k], curvature(objective, at, f).product[i], 1e-12) << i << ", " << k;
        EXPECT_NEAR(column[k], (up[k] - down[k]) / (2 * h), 1e-6) << i << ", " << k;
      }
    }
  };
  for (const double beta : {0.25, 0.5, 2.0}) {
    expect(Parabola(), 1 / beta, 0, beta);
    expect(Parabola(), 0, -1 / beta, beta);
    for (const double chosen : {-0.75, 0.0, 1.5}) {
      expect(ExoPair{0.5}, chosen, chosen, beta);
      expect(ApoDown(), chosen, 0, beta);
      expect(Ipo(), chosen + 0.5 / beta, chosen, beta);
      expect(SppoHard(), 0.5 / beta, chosen, beta);
      expect(SppoHard(), chosen, -0.5 / beta, beta);
    }
  }
}

TEST(PairCurvature, HasTheClosedFormOfTheDpoLoss) {
  for (const double delta : {-30.0, -2.0, 0.0, 0.5, 12.0}) {
    const double beta = 0.3;
    const double z = beta * delta;
    const double bend = 1 / ((1 + std::exp(-z)) * (1 + std::exp(z)));  // σ(z) σ(−z)
    const double slope = -1 / (1 + std::exp(z));
    const Vector at{-20.5 + delta, -31.0, beta, 0};
    const double unit = scale * weight;

    const Vector along_chosen = curvature(Sigmoid{}, at, {1, 0, 0, 0}).product;
    EXPECT_NEAR(along_chosen[0], unit * beta * beta * bend, 1e-15);
    EXPECT_NEAR(along_chosen[1], -unit * beta * beta * bend, 1e-15);
    EXPECT_NEAR(along_chosen[2], unit * (slope + z * bend), 1e-14);
    EXPECT_NEAR(along_chosen[3], -unit * beta * bend, 1e-15);
    const Vector along_beta = curvature(Sigmoid{}, at, {0, 0, 1, 0}).product;
    EXPECT_NEAR(along_beta[2], unit * delta * delta * bend, 1e-13);
  }
}

TEST(PairCurvature, StaysFiniteFarOut) {
  for (const double delta : {1e5, -1e5})
    for (const AnyObjective& objective :
         std::vector<AnyObjective>{Sigmoid{}, Hinge{}, Robust{0.2}, ExoPair{}, DiscoPop{},
                                   SigmoidNorm{}, NcaPair{}, BcoPair{}, ApoZero{}, ApoDown{}}) {
      const auto result = curvature(objective, {delta, -31, 0.1, 0}, {1, -1, 1, 1});
      for (const double number : result.product)
        EXPECT_TRUE(std::isfinite(number)) << objective.name() << " at " << delta;
    }
}

TEST(PairCurvature, ReadsAndWritesPairByPair) {
  const std::vector<double> chosen{1, 2, 3};
  const std::vector<double> direction{0.5, 0, -1};
  std::vector<double> product(3, 9.0);
  std::vector<double> reward(3, 9.0);
  const PairInputs in{.policy_chosen = {chosen.data(), DType::float64}, .beta = 0.2};
  const double sum = pair_curvature(in, {.policy_chosen = {direction.data(), DType::float64}},
                                    {.d_policy_chosen = {product.data(), DType::float64},
                                     .chosen_reward = {reward.data(), DType::float64}},
                                    1, 3, Sigmoid{});
  EXPECT_EQ(product[0], 9);  // not asked for
  EXPECT_EQ(product[1], 0);
  EXPECT_NEAR(product[2], -0.04 / ((1 + std::exp(-0.6)) * (1 + std::exp(0.6))), 1e-16);
  EXPECT_EQ(reward[2], -0.2);
  EXPECT_NEAR(sum, 0.2 / (1 + std::exp(0.6)), 1e-16);
}

TEST(PairCurvature, IsNanWhereBetaIsNotPositive) {
  for (const double beta : {0.0, -0.1, std::nan("")}) {
    const auto result = curvature(Sigmoid{}, {-20, -31, beta, 0}, {1, 0, 0, 0});
    EXPECT_TRUE(std::isnan(result.product[0]) && std::isnan(result.loss)) << beta;
  }
}

struct DoubleOnly {
  ZTerm<double> operator()(double z) const { return {-z, -1}; }
};
static_assert(TwiceDifferentiable<Sigmoid> && TwiceDifferentiable<ApoDown>);
static_assert(PairObjective<DoubleOnly> && !TwiceDifferentiable<DoubleOnly>);

TEST(PairCurvature, RefusesANullArrayByName) {
  const PairValues null(nullptr, DType::float64);
  const auto curvature_of = [](const PairInputs& in, const PairDirection& direction) {
    return [=] { AnyObjective(Sigmoid{}).pair_curvature(in, direction, {}, 0, 1); };
  };
  const auto refuses = [](const char* argument) {
    return testing::ThrowsMessage<InvalidArgument>(testing::StartsWith(
        std::string("pair_curvature: ") + argument + " is null; expected a number"));
  };
  EXPECT_THAT(curvature_of({.beta = null}, {}), refuses("in.beta"));
  EXPECT_THAT(curvature_of({}, {.policy_chosen = null}), refuses("direction.policy_chosen"));
  EXPECT_THAT(curvature_of({}, {.policy_rejected = null}), refuses("direction.policy_rejected"));
  EXPECT_THAT(curvature_of({}, {.beta = null}), refuses("direction.beta"));
  EXPECT_THAT(curvature_of({}, {.margin = null}), refuses("direction.margin"));
}

TEST(Dual, ComputesTheDerivativeOfEveryFunction) {
  const auto expect = [](const char* name, auto f, double x) {
    const double h = 1e-6;
    const double expected = (f(Dual(x + h)).value - f(Dual(x - h)).value) / (2 * h);
    EXPECT_NEAR(f(Dual(x, 1)).slope, expected, 1e-8) << name;
  };
  for (const double x : {0.3, 0.9, 2.5}) {
    expect(
        "+", [](Dual y) { return 2 + y + y; }, x);
    expect(
        "-", [](Dual y) { return 2 - y - -y * 3; }, x);
    expect(
        "*", [](Dual y) { return y * y * 2; }, x);
    expect(
        "/", [](Dual y) { return y / (1 + y * y); }, x);
    expect(
        "exp", [](Dual y) { return exp(-2 * y); }, x);
    expect(
        "expm1", [](Dual y) { return expm1(-2 * y); }, x);
    expect(
        "log", [](Dual y) { return log(y); }, x);
    expect(
        "log1p", [](Dual y) { return log1p(3 * y); }, x);
    expect(
        "tanh", [](Dual y) { return tanh(y); }, x);
    expect(
        "sqrt", [](Dual y) { return sqrt(y); }, x);
    expect(
        "pow", [](Dual y) { return pow(y, 2.5); }, x);
    expect(
        "fabs", [](Dual y) { return fabs(1 - y) + abs(y); }, x);
    expect(
        "fmax", [](Dual y) { return fmax(2 * y, 1) + fmin(y, 1); }, x);
  }
  Dual y(3, 1);
  y += 1;
  y *= y;
  y -= 2;
  y /= 7;
  EXPECT_EQ(y.value, 2);
  EXPECT_DOUBLE_EQ(y.slope, 8.0 / 7);
}

TEST(Dual, TakesOneSideAtAKink) {
  EXPECT_EQ(fabs(Dual(0, 1)).slope, 1);
  EXPECT_EQ(detail::softplus(Dual(0, 1)).slope, 0.5);
  EXPECT_EQ(detail::sigmoid(Dual(0, 1)).slope, 0.25);
  EXPECT_EQ(detail::softplus(Dual(-0.0, 1)).slope, 0.5);
  EXPECT_EQ(detail::sigmoid(Dual(-0.0, 1)).slope, 0.25);
}

}  // namespace
}  // namespace sp2dpo
