// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/pair_rows.hpp>

namespace sp2dpo {

/// The step of a loss between two passes over the logits: the first one computes log-probabilities
/// of rows, and the second one turns coefficients of rows into the gradient. Borrows `rows` and
/// `objective`.
struct SequenceLoss {
  const PairRows& rows;
  const AnyObjective& objective;
  PairInputs inputs{};  ///< reference, beta, margin, weight; the policy's come from the rows
  PairOutputs
      outputs{};  ///< d_policy_chosen and d_policy_rejected must be readable: see row_coefficients
  bool average_log_prob = false;  ///< a sequence's log-probability is the mean over its rows
  bool skip_incomplete = false;   ///< pairs with an empty sequence do not count
  double nll_scale = 0;           ///< nll_scale · LossSum::nll is added to the loss
};

/// Returns whether pair i counts.
[[nodiscard]] inline bool counts(const SequenceLoss& loss, std::int64_t i) {
  return !loss.skip_incomplete || loss.rows.complete(i);
}

/// Sums over the pairs so far, in their order.
struct LossSum {
  double pairs = 0;  ///< Σ weight · value
  double nll = 0;    ///< −Σ log p over the rows of the chosen sequences

  /// The loss that these sums stand for.
  [[nodiscard]] double total(const SequenceLoss& loss) const {
    return loss.outputs.gradient_scale * pairs + loss.nll_scale * nll;
  }
};

/// Computes the sequences' log-probabilities of the pairs in [begin, end) from those of their rows,
/// and the outputs from these, and adds to `sum`. `policy_chosen` and `policy_rejected` are [P], by
/// pair; `row_log_prob` is by row number. All outputs of a pair that does not count are zero.
inline void sequence_step(const SequenceLoss& loss, std::int64_t begin, std::int64_t end,
                          const double* row_log_prob, double* policy_chosen,
                          double* policy_rejected, LossSum& sum) {
  PairInputs in = loss.inputs;
  in.policy_chosen = {policy_chosen, DType::float64};
  in.policy_rejected = {policy_rejected, DType::float64};
  for (std::int64_t i = begin; i < end; ++i) {
    const RowSelection chosen = loss.rows.select(i, PairRows::chosen);
    const RowSelection rejected = loss.rows.select(i, PairRows::rejected);
    policy_chosen[i] = sequence_log_prob(chosen, row_log_prob, loss.average_log_prob);
    policy_rejected[i] = sequence_log_prob(rejected, row_log_prob, loss.average_log_prob);
    if (!counts(loss, i)) {
      loss.outputs.set_all(i, 0);
      continue;
    }
    sum.pairs += loss.objective.pair_loss(in, loss.outputs, i, i + 1);
    sum.nll -= sequence_log_prob(chosen, row_log_prob, false);
  }
}

/// Computes the coefficients that the gradient pass reads: the derivative of `upstream` · loss by
/// the log-probability of each row of the pairs in [begin, end). `d_chosen` and `d_rejected` are
/// what sequence_step wrote.
inline void row_coefficients(const SequenceLoss& loss, std::int64_t begin, std::int64_t end,
                             const PairValues& d_chosen, const PairValues& d_rejected,
                             const PairValues& upstream, double* coefficient) {
  for (std::int64_t i = begin; i < end; ++i) {
    for (const auto side : {PairRows::chosen, PairRows::rejected}) {
      const RowSelection rows = loss.rows.select(i, side);
      double slope = side == PairRows::chosen ? d_chosen[i] : d_rejected[i];
      if (loss.average_log_prob && rows.count > 0) slope /= static_cast<double>(rows.count);
      if (side == PairRows::chosen && counts(loss, i)) slope -= loss.nll_scale;
      for (std::int64_t row = 0; row < rows.count; ++row)
        coefficient[rows[row]] = upstream[i] * slope;
    }
  }
}

}  // namespace sp2dpo
