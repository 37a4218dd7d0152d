// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hidden_problem.hpp"
#include <gtest/gtest.h>

/// Compares the hidden level with its formulas in double precision, without other code of the
/// library.
namespace sp2dpo::cuda {
namespace {

using Real = long double;

Real sigmoid(Real x) {
  return 1 / (1 + std::exp(-x));
}
Real log_sigmoid(Real x) {
  return -std::log1p(std::exp(-x));
}
Real square(Real x) {
  return x * x;
}

template <class V>
auto& at(V& values, std::int64_t i) {
  return values[static_cast<std::size_t>(i)];
}

/// An objective, and its value from both deltas, beta and margin.
struct Formula {
  AnyObjective objective;
  std::function<Real(Real, Real, Real, Real)> value;
};

std::vector<Formula> formulas() {
  const auto of_z = [](auto f) {
    return [f](Real c, Real r, Real beta, Real margin) { return f(beta * (c - r) - margin); };
  };
  const auto of_rewards = [](auto f) {
    return [f](Real c, Real r, Real beta, Real) { return f(beta * c, beta * r); };
  };
  return {
      {Sigmoid{0.1}, of_z([](Real z) { return -0.9L * log_sigmoid(z) - 0.1L * log_sigmoid(-z); })},
      {Hinge{}, of_z([](Real z) { return std::max<Real>(0, 1 - z); })},
      {Robust{0.2},
       of_z([](Real z) { return (-0.8L * log_sigmoid(z) + 0.2L * log_sigmoid(-z)) / 0.6L; })},
      {ExoPair{0.01}, of_z([](Real z) {
         return sigmoid(z) * (log_sigmoid(z) - std::log(0.99L)) +
                sigmoid(-z) * (log_sigmoid(-z) - std::log(0.01L));
       })},
      {DiscoPop{0.5}, of_z([](Real z) {
         return sigmoid(2 * z) * std::exp(-z) - sigmoid(-2 * z) * log_sigmoid(z);
       })},
      {SigmoidNorm{}, of_z([](Real z) { return -log_sigmoid(z); })},
      {Ipo{}, [](Real c, Real r, Real beta, Real) { return square(c - r - 0.5L / beta); }},
      {SppoHard{}, [](Real c, Real r, Real beta,
                      Real) { return square(c - 0.5L / beta) + square(r + 0.5L / beta); }},
      {NcaPair{}, of_rewards([](Real c, Real r) {
         return -log_sigmoid(c) - 0.5L * log_sigmoid(-c) - 0.5L * log_sigmoid(-r);
       })},
      {BcoPair{}, of_rewards([](Real c, Real r) { return -log_sigmoid(c) - log_sigmoid(-r); })},
      {ApoZero{}, of_rewards([](Real c, Real r) { return sigmoid(-c) + sigmoid(r); })},
      {ApoDown{}, of_rewards([](Real c, Real r) { return sigmoid(c) + sigmoid(r - c); })}};
}

/// The relative error of one rounding to the type, and the loss below its smallest numbers.
double rounding(DType dtype) {
  return dtype == DType::float16 ? 0x1p-11 : dtype == DType::bfloat16 ? 0x1p-8 : 0x1p-24;
}
double underflow(DType dtype) {
  return dtype == DType::float16 ? 0x1p-25 : 0;
}
constexpr double of_float = 0x1p-24;
/// The error that a row's exponentials and sums in float may add.
constexpr double arithmetic = 2e-6;

/// Numbers, and the error allowed for each.
struct Bounded {
  explicit Bounded(std::int64_t size)
      : value(static_cast<std::size_t>(size)), off(static_cast<std::size_t>(size)) {}

  std::vector<double> value, off;
};

/// Sums of terms in any order: in float, each of n terms can go through n roundings.
struct Sum {
  void add(double term, double term_off = 0) {
    value += term;
    off += term_off;
    size += std::fabs(term);
    ++terms;
  }
  [[nodiscard]] double off_in_float() const { return off + (terms + 1) * of_float * size; }

  double value = 0, off = 0, size = 0, terms = 0;
};

/// log p of a row's label, and p of all tokens.
struct Row {
  double log_prob = 0, off = 0;  // off: how far rounding may take it
  double logit_off = 0;          // the farthest of the logits
  std::vector<double> probability;
};

/// Everything that hidden_loss computes. Logits and their gradients are rounded to the element type
/// once, the label's logit is not rounded, and products are summed in float. `off` propagates these
/// errors, and a result may differ by their worst case.
class Exact {
 public:
  Exact(const Problem& problem, const Formula& formula)
      : policy(2 * pair_count),
        losses(pair_count),
        slopes(2 * pair_count),
        d_hidden(rows * width),
        d_head(problem.vocab * width),
        d_bias(problem.vocab),
        problem_(problem),
        unit_(rounding(problem.dtype)),
        head_(numbers(problem.head, problem.dtype)),
        bias_(numbers(problem.bias, problem.dtype)) {
    const auto hidden = numbers(problem.hidden, problem.dtype);
    const auto reference = numbers(problem.reference, problem.dtype);
    std::vector<double> coefficient(rows), coefficient_off(rows);
    std::vector<Row> all;
    for (std::int64_t i = 0; i < rows; ++i) all.push_back(row_of(hidden, i));

    for (std::int64_t pair = 0; pair < pair_count; ++pair) {
      Sum delta[2];
      double weight[2];  // of each row in its sequence's log-probability
      for (const int side : {0, 1}) {
        double counted = 0;
        for (std::int64_t i = begin(pair, side); i < end(pair, side); ++i)
          if (counts(i)) ++counted;
        const double each = weight[side] = problem.average ? 1 / counted : 1;
        Sum answer;
        for (std::int64_t i = begin(pair, side); i < end(pair, side); ++i) {
          if (!counts(i)) continue;
          answer.add(each * at(all, i).log_prob, each * at(all, i).off);
          if (reference.empty()) continue;
          const Row there = row_of(reference, i);
          delta[side].add(-each * there.log_prob, each * there.off);
        }
        delta[side].add(answer.value, answer.off);
        at(policy.value, side * pair_count + pair) = answer.value;
        at(policy.off, side * pair_count + pair) = answer.off;
      }
      const double beta = at(problem.beta, pair);
      const auto loss = [&](Real c, Real r) {
        return 2 * formula.value(c, r, beta, problem.margin);
      };
      const auto slope = [&](Real c, Real r, int side) {
        constexpr Real h = 1e-5L;  // off by its square
        const Real by_c = side == 0 ? h : 0, by_r = side == 0 ? 0 : h;
        return (loss(c + by_c, r + by_r) - loss(c - by_c, r - by_r)) / (2 * h) / pair_count;
      };
      const auto bounded = [&](auto f, double& value, double& off) {
        const Real c = delta[0].value, r = delta[1].value;
        const Real middle = f(c, r);
        value = static_cast<double>(middle);
        off = 1e-8 * std::fabs(value);
        for (const int i : {-1, 1})
          for (const int j : {-1, 1})
            off = std::max(off, static_cast<double>(std::fabs(
                                    f(c + i * delta[0].off, r + j * delta[1].off) - middle)));
      };
      bounded(loss, at(losses.value, pair), at(losses.off, pair));
      for (const int side : {0, 1}) {
        const std::int64_t place = side * pair_count + pair;
        bounded([&](Real c, Real r) { return slope(c, r, side); }, at(slopes.value, place),
                at(slopes.off, place));
        for (std::int64_t i = begin(pair, side); i < end(pair, side); ++i) {
          if (!counts(i)) continue;
          at(coefficient, i) =
              weight[side] * at(slopes.value, place) - (side == 0 ? problem.nll_scale : 0);
          at(coefficient_off, i) = weight[side] * at(slopes.off, place);
        }
      }
    }
    make_gradients(hidden, all, coefficient, coefficient_off);
  }

  void expect(const Result& got) const {
    expect_near(got.policy, policy, "log-probability");
    expect_near(got.losses, losses, "loss");
    expect_near(got.slopes, slopes, "slope");
    expect_near(got.d_hidden, d_hidden, "d_hidden");
    expect_near(got.d_head, d_head, "d_head");
    expect_near(got.d_bias, d_bias, "d_bias");
  }

  Bounded policy, losses, slopes, d_hidden, d_head, d_bias;

 private:
  [[nodiscard]] bool counts(std::int64_t row) const { return at(problem_.labels, row) != ignored; }
  [[nodiscard]] std::int64_t begin(std::int64_t pair, int side) const {
    return at(problem_.bounds, side * pair_count + pair);
  }
  [[nodiscard]] std::int64_t end(std::int64_t pair, int side) const {
    return at(problem_.bounds, side * pair_count + pair + 1);
  }

  [[nodiscard]] Row row_of(const std::vector<double>& hidden, std::int64_t i) const {
    Row row;
    if (!counts(i)) return row;
    const std::int64_t y = at(problem_.labels, i);
    std::vector<double> logit;
    double label_off = 0;
    for (std::int64_t j = 0; j < problem_.vocab; ++j) {
      Sum sum;
      for (std::int64_t k = 0; k < width; ++k)
        sum.add(at(hidden, i * width + k) * at(head_, j * width + k));
      if (problem_.with_bias) sum.add(at(bias_, j));
      logit.push_back(sum.value);
      if (j == y)
        label_off = sum.off_in_float();
      else
        row.logit_off = std::max(row.logit_off, sum.off_in_float() + unit_ * std::fabs(sum.value));
    }
    double all = 0;
    for (const double z : logit) all += std::exp(z);
    for (const double z : logit) row.probability.push_back(std::exp(z) / all);
    row.log_prob = at(logit, y) - std::log(all);
    row.logit_off += label_off;
    row.off = (1 - at(row.probability, y)) * row.logit_off + arithmetic * (1 - row.log_prob);
    return row;
  }

  /// c · (1[j = y] − p) by the logits, and the products with it.
  void make_gradients(const std::vector<double>& hidden, const std::vector<Row>& all,
                      const std::vector<double>& coefficient,
                      const std::vector<double>& coefficient_off) {
    std::vector<Sum> by_head(d_head.value.size()), by_bias(d_bias.value.size());
    for (std::int64_t i = 0; i < rows; ++i) {
      if (!counts(i)) continue;
      const Row& row = at(all, i);
      const double c = at(coefficient, i);
      std::vector<Sum> by_hidden(width);
      for (std::int64_t j = 0; j < problem_.vocab; ++j) {
        const double p = at(row.probability, j);
        const double unscaled = (j == at(problem_.labels, i) ? 1 : 0) - p;
        const double g = c * unscaled;
        const double off = at(coefficient_off, i) * std::fabs(unscaled) +
                           std::fabs(c) * p * std::expm1(2 * row.logit_off) +
                           (unit_ + 2 * arithmetic) * std::fabs(g) + underflow(problem_.dtype);
        const auto add = [&](Sum& sum, double by) { sum.add(g * by, off * std::fabs(by)); };
        for (std::int64_t k = 0; k < width; ++k) {
          add(at(by_hidden, k), at(head_, j * width + k));
          add(at(by_head, j * width + k), at(hidden, i * width + k));
        }
        add(at(by_bias, j), 1);
      }
      for (std::int64_t k = 0; k < width; ++k) {
        const Sum& sum = at(by_hidden, k);
        at(d_hidden.value, i * width + k) = sum.value;
        at(d_hidden.off, i * width + k) =
            sum.off_in_float() + unit_ * std::fabs(sum.value) + underflow(problem_.dtype);
      }
    }
    const auto finish = [&](const std::vector<Sum>& sums, Bounded& out) {
      const auto before = numbers(Problem::float_bytes(std::ssize(sums)), DType::float32);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        Sum sum = sums[i];
        if (problem_.add) sum.add(before[i]);
        out.value[i] = sum.value;
        out.off[i] = sum.off_in_float();
      }
    };
    finish(by_head, d_head);
    finish(by_bias, d_bias);
  }

  static void expect_near(const std::vector<double>& got, const Bounded& want, const char* what) {
    ASSERT_EQ(got.size(), want.value.size()) << what;
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], want.value[i], want.off[i]) << what << " " << i;
  }

  const Problem& problem_;
  const double unit_;
  const std::vector<double> head_, bias_;
};

/// With a reference under the same head, near the policy.
Problem problem_of(const Formula& formula, DType dtype, std::int64_t vocab_) {
  Problem problem(dtype, vocab_);
  problem.objective = formula.objective;
  problem.average = formula.objective.averages_log_probs();
  problem.margin = formula.objective.takes_margin() ? 0.3 : 0;
  problem.reference.resize(problem.hidden.size());
  for (std::int64_t i = 0; i < rows * width; ++i)
    detail::store(problem.reference.data(), dtype, i,
                  (i % 3 == 0 ? 0.8 : 1) * detail::load(problem.hidden.data(), dtype, i));
  return problem;
}

void expect_exact(const Problem& problem, const Formula& formula, std::int64_t chunk_rows) {
  Exact(problem, formula).expect(problem.on_device(chunk_rows));
}

constexpr DType all_dtypes[] = {DType::float32, DType::bfloat16, DType::float16};
constexpr std::int64_t odd = 71, whole = 72;  // vocabularies: rows of logits aligned or not

TEST(CudaHiddenReference, MatchesEveryObjectiveInEveryElementType) {
  for (const Formula& formula : formulas())
    for (const DType dtype : all_dtypes) {
      SCOPED_TRACE(formula.objective.name() + " " + name_of(dtype));
      expect_exact(problem_of(formula, dtype, odd), formula, rows);
    }
}

TEST(CudaHiddenReference, MatchesEveryOptionOfTheLoss) {
  for (const Formula& formula : formulas()) {
    if (formula.objective.type() != typeid(NcaPair) && formula.objective.type() != typeid(Sigmoid))
      continue;
    for (const DType dtype : all_dtypes) {
      SCOPED_TRACE(formula.objective.name() + " " + name_of(dtype));
      Problem problem = problem_of(formula, dtype, whole);
      problem.average = true;
      problem.nll_scale = 0.1;
      problem.add = false;
      expect_exact(problem, formula, 8);  // a pair is longer
      problem.average = problem.with_bias = false;
      problem.lists_masked = true;
      problem.reference.clear();
      expect_exact(problem, formula, 12);
    }
  }
}

}  // namespace
}  // namespace sp2dpo::cuda
