// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include "pair_columns.hpp"
#include <gtest/gtest.h>

#include <sp2dpo/loss/sequence_loss.hpp>

namespace sp2dpo {
namespace {

using test::Column;
using test::sink;
using test::view;

/// Three pairs in halves, sequences of two rows; the rejected sequence of pair 1 is all masked.
const std::vector<std::int64_t> labels{1, 2, 3, 4, 5, -100, 7, 8, -100, -100, 2, 3};
const Column log_probs{-1.5, -0.5, -2, -1, -0.25, 0, -3, -1, 0, 0, -0.5, -0.75};
const Column beta{0.1, 0.5, 2};

struct Results {
  double total;
  Column d_chosen = Column(3), d_rejected = Column(3), delta = Column(3), coefficient = Column(12);
};

Results run(const Column& row_log_prob, bool average, bool skip, double nll_scale) {
  const PairRows rows({.count = 6, .length = 2}, {.label = labels.data()}, 12);
  const AnyObjective objective = Sigmoid{};
  Results out;
  const SequenceLoss loss{.rows = rows,
                          .objective = objective,
                          .inputs = {.reference_chosen = -1.0, .beta = view(beta), .weight = 3.0},
                          .outputs = {.d_policy_chosen = sink(out.d_chosen),
                                      .d_policy_rejected = sink(out.d_rejected),
                                      .delta = sink(out.delta),
                                      .gradient_scale = 0.5},
                          .average_log_prob = average,
                          .skip_incomplete = skip,
                          .nll_scale = nll_scale};
  LossSum sum;
  Column chosen(3);
  Column rejected(3);
  sequence_step(loss, 0, 2, row_log_prob.data(), chosen.data(), rejected.data(), sum);
  sequence_step(loss, 2, 3, row_log_prob.data(), chosen.data(), rejected.data(), sum);
  row_coefficients(loss, 0, 3, view(out.d_chosen), view(out.d_rejected), 1.0,
                   out.coefficient.data());
  out.total = sum.total(loss);
  return out;
}

TEST(SequenceLoss, IsThePairLossOfTheSums) {
  const auto out = run(log_probs, false, false, 0);
  double expected = 0;
  const double deltas[] = {(-2 + 1) + 4, (-3 + 1) - 0, (-0.25 + 1) + 1.25};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_DOUBLE_EQ(out.delta[i], deltas[i]);
    expected += 0.5 * 3 * std::log1p(std::exp(-beta[i] * deltas[i]));
  }
  EXPECT_NEAR(out.total, expected, 1e-12);
}

TEST(SequenceLoss, HasTheDerivativeByEachRowAsCoefficient) {
  for (const bool average : {false, true})
    for (const bool skip : {false, true})
      for (const double nll_scale : {0.0, 0.3}) {
        const auto out = run(log_probs, average, skip, nll_scale);
        for (std::size_t row = 0; row < 12; ++row) {
          if (labels[row] == -100) continue;
          auto up = log_probs;
          auto down = log_probs;
          up[row] += 1e-6;
          down[row] -= 1e-6;
          const double slope = (run(up, average, skip, nll_scale).total -
                                run(down, average, skip, nll_scale).total) /
                               2e-6;
          EXPECT_NEAR(out.coefficient[row], slope, 1e-8)
              << "row " << row << ", average " << average << ", skip " << skip;
        }
      }
}

TEST(SequenceLoss, LeavesOutAPairWithAnEmptySequence) {
  const auto out = run(log_probs, false, true, 0.3);
  EXPECT_EQ(out.d_chosen[1], 0);
  EXPECT_EQ(out.coefficient[2], 0);
  EXPECT_EQ(out.delta[1], 0);
  auto changed = log_probs;
  changed[2] = std::nan("");
  EXPECT_EQ(run(changed, false, true, 0.3).total, out.total);
}

}  // namespace
}  // namespace sp2dpo
