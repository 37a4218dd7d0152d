// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo {
namespace {

using detail::Dual;
using Real = long double;

constexpr double infinity = std::numeric_limits<double>::infinity();

// The papers' formulas as they are printed, in long double.
Real sigma(Real x) {
  return 1 / (1 + std::exp(-x));
}
Real log_sigma(Real x) {
  return std::log(sigma(x));
}
Real square(Real x) {
  return x * x;
}

struct Point {
  Real chosen, rejected, beta, margin;

  [[nodiscard]] Real delta() const { return chosen - rejected; }
  [[nodiscard]] Real z() const { return beta * delta() - margin; }
  [[nodiscard]] Real reward() const { return beta * chosen; }
  [[nodiscard]] Real rejected_reward() const { return beta * rejected; }
};

Real printed(const Sigmoid& o, const Point& p) {
  return -(1 - o.label_smoothing) * log_sigma(p.z()) - o.label_smoothing * log_sigma(-p.z());
}
Real printed(const Hinge&, const Point& p) {
  return std::fmax(Real(0), 1 - p.z());
}
Real printed(const Robust& o, const Point& p) {
  const Real e = o.label_smoothing;
  return (-(1 - e) * log_sigma(p.z()) + e * log_sigma(-p.z())) / (1 - 2 * e);
}
Real printed(const ExoPair& o, const Point& p) {
  const Real e = o.label_smoothing;
  return sigma(p.z()) * (log_sigma(p.z()) - std::log(1 - e)) +
         sigma(-p.z()) * (log_sigma(-p.z()) - std::log(e));
}
Real printed(const DiscoPop& o, const Point& p) {
  const Real mix = sigma(p.z() / o.discopop_tau);
  return -log_sigma(p.z()) * (1 - mix) + std::exp(-p.z()) * mix;
}
Real printed(const SigmoidNorm&, const Point& p) {
  return -log_sigma(p.z());
}
Real printed(const Ipo&, const Point& p) {
  return square(p.delta() - 1 / (2 * p.beta));
}
Real printed(const SppoHard&, const Point& p) {
  return square(p.chosen - 1 / (2 * p.beta)) + square(p.rejected + 1 / (2 * p.beta));
}
Real printed(const NcaPair&, const Point& p) {
  return -log_sigma(p.reward()) - log_sigma(-p.reward()) / 2 - log_sigma(-p.rejected_reward()) / 2;
}
Real printed(const BcoPair&, const Point& p) {
  return -log_sigma(p.reward()) - log_sigma(-p.rejected_reward());
}
Real printed(const ApoZero&, const Point& p) {
  return 1 - sigma(p.reward()) + sigma(p.rejected_reward());
}
Real printed(const ApoDown&, const Point& p) {
  return sigma(p.reward()) + 1 - sigma(p.beta * p.delta());
}

/// Calls f with every objective, and with some in a second setting.
template <class F>
void for_each_objective(F f) {
  std::apply([&](auto... objective) { (f(objective), ...); },
             std::tuple{Sigmoid{}, Sigmoid{0.1}, Hinge{}, Robust{}, Robust{0.2}, ExoPair{},
                        ExoPair{0.3}, DiscoPop{}, DiscoPop{0.5}, DiscoPop{2}, SigmoidNorm{}, Ipo{},
                        SppoHard{}, NcaPair{}, BcoPair{}, ApoZero{}, ApoDown{}});
}

template <class Objective, class F>
void for_each_point(F f) {
  for (const double chosen : {-11.3, -2.1, 0.0, 0.7, 9.2})
    for (const double rejected : {-7.7, -0.4, 0.0, 3.1, 12.9})
      for (const double beta : {0.003, 0.1, 0.9, 5.0})
        for (const double margin : {0.0, 0.6}) {
          if (!takes_margin<Objective> && margin != 0) continue;
          SCOPED_TRACE(testing::Message() << Objective::name << " at " << chosen << ", " << rejected
                                          << ", beta " << beta << ", margin " << margin);
          f(chosen, rejected, beta, margin);
        }
}

/// Expects a double to be as near as possible to a long double that may be huge.
void expect_close(double actual, Real expected, double tolerance) {
  EXPECT_NEAR(actual, static_cast<double>(expected),
              tolerance * std::fmax(1.0, std::fabs(static_cast<double>(expected))));
}

TEST(Objectives, HaveThePrintedValue) {
  for_each_objective([]<class O>(const O& objective) {
    for_each_point<O>([&](double chosen, double rejected, double beta, double margin) {
      expect_close(pair_term(objective, chosen, rejected, beta, margin).value,
                   printed(objective, Point{chosen, rejected, beta, margin}), 1e-14);
    });
  });
}

TEST(Objectives, HaveTheCentralDifferencesOfThePrintedValueForDerivatives) {
  for_each_objective([]<class O>(const O& objective) {
    for_each_point<O>([&](double chosen, double rejected, double beta, double margin) {
      const Point at{chosen, rejected, beta, margin};
      const auto difference = [&](Real Point::*coordinate) {
        const Real h = 1e-4L * std::fmin(Real(1), beta);
        const auto value = [&](int steps) {
          Point moved = at;
          moved.*coordinate += static_cast<Real>(steps) * h;
          return printed(objective, moved);
        };
        return (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * h);
      };
      const auto term = pair_term(objective, chosen, rejected, beta, margin);
      expect_close(term.d_delta_chosen, difference(&Point::chosen), 1e-9);
      expect_close(term.d_delta_rejected, difference(&Point::rejected), 1e-9);
      expect_close(term.d_beta, difference(&Point::beta), 1e-9);
      if (takes_margin<O>)
        expect_close(term.d_margin, difference(&Point::margin), 1e-9);
      else
        EXPECT_EQ(term.d_margin, 0);
    });
  });
}

TEST(Objectives, MatchTheDerivativesOfDualNumbers) {
  for_each_objective([]<class O>(const O& objective) {
    for_each_point<O>([&](double chosen, double rejected, double beta, double margin) {
      const std::array at{chosen, rejected, beta, margin};
      const auto term = pair_term(objective, chosen, rejected, beta, margin);
      const std::array derivative{term.d_delta_chosen, term.d_delta_rejected, term.d_beta,
                                  term.d_margin};
      for (std::size_t k = 0; k < 4; ++k) {
        const auto moving = [&](std::size_t i) { return Dual(at[i], i == k ? 1 : 0); };
        const auto dual = pair_term(objective, moving(0), moving(1), moving(2), moving(3));
        expect_close(dual.value.value, term.value, 1e-14);
        expect_close(dual.value.slope, derivative[k], 1e-13);
      }
    });
  });
}

/// A function of z alone, seen at z.
template <class O>
ZTerm<double> at_z(const O& objective, double z) {
  const auto term = pair_term(objective, z, 0.0, 1.0, 0.0);
  return {term.value, term.d_delta_chosen};
}

TEST(Objectives, HaveTheRightLimitsInZ) {
  const auto expect = [](const auto& objective, double z, double value, double slope) {
    SCOPED_TRACE(testing::Message() << objective.name << " at " << z);
    const auto term = at_z(objective, z);
    EXPECT_DOUBLE_EQ(term.value, value);
    EXPECT_DOUBLE_EQ(term.slope, slope);
  };
  for (const double far : {1e4, infinity}) {
    expect(Sigmoid{}, far, 0, 0);
    expect(Sigmoid{}, -far, far, -1);
    expect(SigmoidNorm{}, far, 0, 0);
    expect(Sigmoid{0.1}, far, 0.1 * far, 0.1);
    expect(Hinge{}, far, 0, 0);
    expect(Hinge{}, -far, 1 + far, -1);
    expect(Robust{}, far, 0, 0);
    expect(Robust{0.25}, far, -0.5 * far, -0.5);  // −ε / (1−2ε)
    expect(ExoPair{}, far, -std::log(1 - 1e-3), 0);
    expect(ExoPair{}, -far, -std::log(1e-3), 0);
    expect(DiscoPop{}, far, 0, 0);
    expect(DiscoPop{}, -far, far, -1);
    expect(DiscoPop{2}, -far, infinity, -infinity);  // e^−z outgrows the mixing
    for (const double tau : {0.5, 0.99}) expect(DiscoPop{tau}, -far, far, -1);
    expect(DiscoPop{1}, -far, far + 1, -1);
    for (const double smoothing : {1e-9, 0.1, 0.3, 0.4999}) {
      expect(Sigmoid{smoothing}, far, smoothing * far, smoothing);
      expect(Sigmoid{smoothing}, -far, (1 - smoothing) * far, smoothing - 1);
      expect(Robust{smoothing}, -far, (1 - smoothing) / (1 - 2 * smoothing) * far,
             -(1 - smoothing) / (1 - 2 * smoothing));
    }
  }
}

TEST(Objectives, HaveTheRightLimitsInTheRewards) {
  for (const double far : {1e4, infinity}) {
    // Value, and the slopes by the rewards of the chosen and the rejected response.
    const auto expect = [&](const auto& objective, double chosen, double rejected, double value,
                            double d_chosen, double d_rejected) {
      SCOPED_TRACE(testing::Message() << objective.name << " at " << chosen << ", " << rejected);
      const auto term = pair_term(objective, chosen, rejected, 1.0, 0.0);
      EXPECT_DOUBLE_EQ(term.value, value);
      EXPECT_DOUBLE_EQ(term.d_delta_chosen, d_chosen);
      EXPECT_DOUBLE_EQ(term.d_delta_rejected, d_rejected);
      EXPECT_FALSE(std::isnan(term.d_beta));
    };
    expect(NcaPair{}, far, -far, 0.5 * far, 0.5, 0);
    expect(NcaPair{}, -far, -far, far, -1, 0);
    expect(BcoPair{}, far, -far, 0, 0, 0);
    expect(BcoPair{}, -far, far, 2 * far, -1, 1);
    expect(ApoZero{}, far, -far, 0, 0, 0);
    expect(ApoZero{}, -far, far, 2, 0, 0);
    expect(ApoDown{}, -far, 0, 1, 0, 0);
    expect(ApoDown{}, far, 0, 1, 0, 0);
  }
}

/// No objective turns an infinite log-ratio into NaN where the two do not cancel.
TEST(Objectives, AreNeverNanAtInfinity) {
  for_each_objective([](const auto& objective) {
    for (const double chosen : {-infinity, -1.5, 0.0, 2.0, infinity})
      for (const double rejected : {-infinity, -1.5, 0.0, 2.0, infinity}) {
        if (chosen == rejected) continue;
        const auto term = pair_term(objective, chosen, rejected, 0.3, 0.0);
        for (const double number : {term.value, term.d_delta_chosen, term.d_delta_rejected})
          EXPECT_FALSE(std::isnan(number)) << objective.name << " " << chosen << " " << rejected;
      }
  });
}

TEST(Objectives, KeepTheirTailsWhereOneMinusTheSigmoidUnderflows) {
  const double tail = std::exp(-50.0);
  EXPECT_DOUBLE_EQ(at_z(Robust{}, 50).value, tail);
  EXPECT_DOUBLE_EQ(at_z(Robust{}, 50).slope, -tail);
  EXPECT_DOUBLE_EQ(at_z(DiscoPop{}, 50).value, tail);
  EXPECT_DOUBLE_EQ(pair_term(BcoPair{}, 50.0, -50.0, 1.0, 0.0).value, 2 * tail);
  EXPECT_DOUBLE_EQ(pair_term(ApoZero{}, 50.0, -50.0, 1.0, 0.0).value, 2 * tail);
  EXPECT_DOUBLE_EQ(at_z(ExoPair{}, 50).slope, tail * (50 - std::log(999)));
}

TEST(Objectives, PropagateNan) {
  for_each_objective([](const auto& objective) {
    const double nan = std::nan("");
    for (const auto& term :
         {pair_term(objective, nan, 0.5, 0.1, 0.0), pair_term(objective, 0.5, nan, 0.1, 0.0)}) {
      EXPECT_TRUE(std::isnan(term.value)) << objective.name;
      EXPECT_TRUE(std::isnan(term.d_delta_chosen) || std::isnan(term.d_delta_rejected))
          << objective.name;
    }
  });
}

TEST(Hinge, IsFlatAtItsKink) {
  EXPECT_EQ(Hinge{}(1.0).value, 0);
  EXPECT_EQ(Hinge{}(1.0).slope, 0);
  EXPECT_EQ(Hinge{}(std::nextafter(1.0, 0.0)).slope, -1);
}

TEST(Robust, IsTheDpoLossInTheMeanOverFlippedLabels) {
  for (const double flipped : {0.1, 0.4})
    for (const double z : {-3.0, 0.2, 8.0})
      EXPECT_NEAR((1 - flipped) * at_z(Robust{flipped}, z).value +
                      flipped * at_z(Robust{flipped}, -z).value,
                  at_z(Sigmoid{}, z).value, 1e-14);
}

TEST(ExoPair, IsZeroAndFlatIfThePolicyAgreesWithTheLabels) {
  for (const double smoothing : {1e-3, 0.2}) {
    const double best = std::log((1 - smoothing) / smoothing);
    EXPECT_NEAR(at_z(ExoPair{smoothing}, best).value, 0, 1e-15);
    EXPECT_NEAR(at_z(ExoPair{smoothing}, best).slope, 0, 1e-15);
    EXPECT_GT(at_z(ExoPair{smoothing}, best - 0.1).value, 0);
    EXPECT_GT(at_z(ExoPair{smoothing}, best + 0.1).value, 0);
  }
}

TEST(Ipo, TargetsALogRatioThatShrinksWithBeta) {
  for (const double beta : {0.05, 0.5}) {
    const auto term = pair_term(Ipo{}, 0.5 / beta, 0.0, beta, 0.0);
    EXPECT_EQ(term.value, 0);
    EXPECT_EQ(term.d_delta_chosen, 0);
  }
}

TEST(Objectives, DeclareMarginAndLogProbConventions) {
  static_assert(takes_margin<Sigmoid> && takes_margin<Hinge> && takes_margin<Robust> &&
                takes_margin<ExoPair> && takes_margin<DiscoPop> && takes_margin<SigmoidNorm>);
  static_assert(!takes_margin<Ipo> && !takes_margin<SppoHard> && !takes_margin<NcaPair> &&
                !takes_margin<BcoPair> && !takes_margin<ApoZero> && !takes_margin<ApoDown>);
  static_assert(averages_log_probs<Ipo> && averages_log_probs<SigmoidNorm>);
  static_assert(!averages_log_probs<Sigmoid> && !averages_log_probs<SppoHard>);
  for_each_objective([](const auto& objective) {
    const AnyObjective any = objective;
    EXPECT_EQ(any.name(), objective.name);
    EXPECT_EQ(any.complaint(), "") << objective.name;
    EXPECT_TRUE(any.twice_differentiable()) << objective.name;
  });
}

TEST(AnyObjective, ComplainsOfParametersOutOfRangeByName) {
  EXPECT_EQ(AnyObjective(Sigmoid{0.5}).complaint(),
            "sigmoid: label_smoothing must be in [0, 0.5), not 0.5");
  EXPECT_EQ(AnyObjective(Robust{-1}).complaint(),
            "robust: label_smoothing must be in [0, 0.5), not -1");
  EXPECT_EQ(AnyObjective(ExoPair{0}).complaint(),
            "exo_pair: label_smoothing must be in (0, 1), not 0");
  EXPECT_EQ(AnyObjective(DiscoPop{-0.25}).complaint(),
            "discopop: discopop_tau must be finite and > 0, not -0.25");
  EXPECT_NE(AnyObjective(Sigmoid{std::nan("")}).complaint(), "");
  EXPECT_NE(AnyObjective(DiscoPop{infinity}).complaint(), "");
}

/// An objective without optional members that takes double only.
struct Plain {
  ZTerm<double> operator()(double z) const { return {-z, -1}; }
};

/// An objective that takes a margin although it treats chosen and rejected differently.
struct Anchored {
  static constexpr bool takes_margin = true;
  PairTerm<double> operator()(double chosen, double, double, double margin) const {
    return {margin - chosen, -1, 0, 0, 1};
  }
};

TEST(AnyObjective, TakesAnObjectiveWithoutOptionalMembers) {
  const AnyObjective plain = Plain{};
  EXPECT_NE(plain.name().find("Plain"), std::string::npos) << plain.name();
  EXPECT_EQ(plain.complaint(), "");
  EXPECT_TRUE(plain.takes_margin());
  EXPECT_TRUE(plain.is_function_of_z());
  EXPECT_FALSE(plain.averages_log_probs());
  EXPECT_FALSE(plain.twice_differentiable());
  EXPECT_EQ(plain.pair_loss({.policy_chosen = 4.0, .beta = 0.5}, {}, 0, 1), -2);

  EXPECT_TRUE(AnyObjective(Anchored{}).takes_margin());
  EXPECT_FALSE(AnyObjective(Anchored{}).is_function_of_z());
}

}  // namespace
}  // namespace sp2dpo
