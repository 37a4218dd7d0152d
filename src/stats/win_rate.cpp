// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include <Eigen/Core>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/stats/win_rate.hpp>

namespace sp2dpo::stats {

namespace {

using Weights = Eigen::Vector3d;
constexpr double gamed_weight = 0.1;

double mean(const Eigen::ArrayXd& values) {
  return values.mean();
}

double standard_deviation(const Eigen::ArrayXd& values) {
  return std::sqrt((values - mean(values)).square().sum() / static_cast<double>(values.size() - 1));
}

WinRate in_percent(const Eigen::ArrayXd& wins) {
  WinRate rate{.value = 100 * mean(wins)};
  if (wins.size() > 1)
    rate.standard_error =
        100 * standard_deviation(wins) / std::sqrt(static_cast<double>(wins.size()));
  return rate;
}

Eigen::ArrayXd sigmoid(const Eigen::ArrayXd& z) {
  return (1 + (-z).exp()).inverse();
}

/// Minimises ||w||_1 + C · Σ s · [log(1 + e^z) − p z] with z = X w.
struct Problem {
  Eigen::MatrixX3d features;
  Eigen::ArrayXd wins;
  Eigen::ArrayXd costs;  // C · s

  [[nodiscard]] double value(const Weights& w) const {
    const Eigen::ArrayXd z = (features * w).array();
    return w.lpNorm<1>() + (costs * (z.max(0) + (1 + (-z.abs()).exp()).log() - wins * z)).sum();
  }
};

/// Minimises the penalised quadratic model by coordinate descent.
Weights newton_step(const Weights& w, const Weights& gradient, const Eigen::Matrix3d& hessian) {
  Weights step = Weights::Zero();
  for (int sweep = 0; sweep < 1000; ++sweep) {
    double moved = 0;
    for (int j = 0; j < 3; ++j) {
      const double curvature = hessian(j, j);
      if (!(curvature > 0)) continue;
      const double slope = gradient[j] + hessian.row(j).dot(step);
      const double aim = w[j] + step[j] - slope / curvature;
      const double shrunk = std::copysign(std::max(std::abs(aim) - 1 / curvature, 0.0), aim);
      const double change = shrunk - w[j] - step[j];
      step[j] += change;
      moved = std::max(moved, std::abs(change));
    }
    if (moved < 1e-14) break;
  }
  return step;
}

Weights minimise(const Problem& problem) {
  Weights w = Weights::Zero();
  double value = problem.value(w);
  for (int iteration = 0; iteration < 200; ++iteration) {
    const Eigen::ArrayXd q = sigmoid((problem.features * w).array());
    const Weights gradient =
        problem.features.transpose() * (problem.costs * (q - problem.wins)).matrix();
    const Eigen::VectorXd curvature = (problem.costs * q * (1 - q)).matrix();
    const Eigen::Matrix3d hessian =
        problem.features.transpose() * curvature.asDiagonal() * problem.features;
    Weights step = newton_step(w, gradient, hessian);
    const double size = step.lpNorm<Eigen::Infinity>();
    if (size < 1e-11) break;
    if (size > 1) step /= size;
    double next = problem.value(w + step);
    while (next > value && step.lpNorm<Eigen::Infinity>() > 1e-11) {
      step /= 2;
      next = problem.value(w + step);
    }
    if (next > value) break;
    w += step;
    value = next;
  }
  return w;
}

Eigen::ArrayXd wins_of(std::span<const Comparison> comparisons) {
  detail::require(!comparisons.empty(), "a win rate needs at least one comparison");
  Eigen::ArrayXd wins(std::ssize(comparisons));
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    detail::require(comparisons[i].win >= 0 && comparisons[i].win <= 1,
                    "comparison {}: expected a win in [0, 1], got {}", i, comparisons[i].win);
    wins[static_cast<Eigen::Index>(i)] = comparisons[i].win;
  }
  return wins;
}

}  // namespace

WinRate win_rate(std::span<const Comparison> comparisons) {
  return in_percent(wins_of(comparisons));
}

LengthControlledWinRate length_controlled_win_rate(std::span<const Comparison> comparisons,
                                                   const LengthControl& control) {
  detail::require(control.c > 0 && std::isfinite(control.c), "expected a positive c, got {}",
                  control.c);
  const Eigen::ArrayXd wins = wins_of(comparisons);
  const Eigen::Index n = wins.size(), gamed = std::ssize(control.gamed);
  Eigen::ArrayXd lengths(n);
  Eigen::ArrayXd difficulty = Eigen::ArrayXd::Zero(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const Comparison& comparison = comparisons[static_cast<std::size_t>(i)];
    lengths[i] = comparison.len_baseline - comparison.len_model;
    if (control.use_difficulty) difficulty[i] = comparison.difficulty;
  }
  detail::require(lengths.allFinite() && difficulty.allFinite(),
                  "lengths and difficulties must be finite");
  if (n < 2) return {.reason = "fewer than two comparisons"};
  const double scale = standard_deviation(lengths);
  if (!(scale > 0)) return {.reason = "all differences in length are equal"};

  Problem problem{.features = Eigen::MatrixX3d::Zero(n + gamed, 3),
                  .wins = Eigen::ArrayXd(n + gamed),
                  .costs = Eigen::ArrayXd::Constant(n + gamed, control.c)};
  problem.features.col(0).head(n) = (lengths / scale).tanh();
  problem.features.col(1).head(n) = difficulty;
  problem.features.col(2).head(n).setOnes();
  problem.wins.head(n) = wins;
  problem.costs.tail(gamed) *= gamed_weight;
  for (Eigen::Index i = 0; i < gamed; ++i) {
    const GamedRow& row = control.gamed[static_cast<std::size_t>(i)];
    problem.features(n + i, 0) = row.tanh_length;
    if (control.use_difficulty) problem.features(n + i, 1) = row.difficulty;
    problem.wins[n + i] = row.win;
  }

  const Weights w = minimise(problem);
  LengthControlledWinRate result;
  result.rate = in_percent(sigmoid(w[2] + w[1] * difficulty));
  result.weights = {w[0], w[1], w[2]};
  return result;
}

}  // namespace sp2dpo::stats
