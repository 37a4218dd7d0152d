// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/pair_rows.hpp>

namespace sp2dpo {

/// All that makes the loss of a batch beside the log-probabilities of its rows: the step between
/// the pass over the logits that gives those and the pass that takes coefficients.
struct SequenceLoss {
  const PairRows& rows;
  const AnyObjective& objective;
  PairInputs inputs{};  ///< reference, beta, margin, weight; the policy's are made from the rows
  PairOutputs
      outputs{};  ///< d_policy_chosen and d_policy_rejected must be readable: see row_coefficients
  bool average_log_prob = false;  ///< an answer's log-probability is the mean over its rows
  bool skip_incomplete = false;   ///< pairs with an answer without rows do not count
  double nll_scale = 0;           ///< the loss has nll_scale · LossSum::nll added to it
};

/// Whether pair i counts.
[[nodiscard]] inline bool counts(const SequenceLoss& loss, std::int64_t i) {
  return !loss.skip_incomplete || loss.rows.complete(i);
}

/// Sums over the pairs done so far, in their order.
struct LossSum {
  double pairs = 0;  ///< Σ weight · value
  double nll = 0;    ///< −Σ log p over the rows of the chosen answers

  /// The loss that these sums stand for.
  [[nodiscard]] double total(const SequenceLoss& loss) const {
    return loss.outputs.gradient_scale * pairs + loss.nll_scale * nll;
  }
};

/// Makes the answers' log-probabilities of the pairs in [begin, end) from those of their rows, and
/// the outputs from these, and adds to `sum`. `policy_chosen` and `policy_rejected` are [P], by
/// pair number, as `row_log_prob` is by row number. A pair that does not count gets zeros, whatever
/// its numbers are.
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

/// The derivative of `upstream` · loss by the log-probability of each row of the pairs in [begin,
/// end): what the gradient pass takes. `d_chosen` and `d_rejected` are what sequence_step wrote.
inline void row_coefficients(const SequenceLoss& loss, std::int64_t begin, std::int64_t end,
                             const PairValues& d_chosen, const PairValues& d_rejected,
                             const PairValues& upstream, double* coefficient) {
  for (std::int64_t i = begin; i < end; ++i) {
    for (const auto side : {PairRows::chosen, PairRows::rejected}) {
      const RowSelection answer = loss.rows.select(i, side);
      double slope = side == PairRows::chosen ? d_chosen[i] : d_rejected[i];
      if (loss.average_log_prob && answer.count > 0) slope /= static_cast<double>(answer.count);
      if (side == PairRows::chosen && counts(loss, i)) slope -= loss.nll_scale;
      for (std::int64_t row = 0; row < answer.count; ++row)
        coefficient[answer[row]] = upstream[i] * slope;
    }
  }
}

}  // namespace sp2dpo
