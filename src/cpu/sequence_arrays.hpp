// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <sp2dpo/cpu/sequence_outputs.hpp>
#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/detail/arena.hpp>
#include <sp2dpo/loss/detail/check_hidden.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

namespace sp2dpo::cpu {

constexpr std::size_t workspace_alignment = 64;

/// The arrays of a loss of sequences: those of `out`, or the arena's where they are null. The
/// arena's use does not depend on which are.
inline SequenceOutputs arrays_of(const SequenceOutputs& out, std::int64_t rows, std::int64_t pairs,
                                 detail::Arena& arena) {
  SequenceOutputs arrays = out;
  const auto fill = [&](double*& array, std::int64_t count) {
    double* const own = arena.take<double>(count);
    if (array == nullptr) array = own;
  };
  fill(arrays.rows.log_prob, rows);
  fill(arrays.rows.lse_others, rows);
  fill(arrays.coefficient, rows);
  for (double** array :
       {&arrays.policy_chosen, &arrays.policy_rejected, &arrays.d_chosen, &arrays.d_rejected})
    fill(*array, pairs);
  return arrays;
}

/// The steps between the passes over the rows, for pairs in ascending order.
class PairStep {
 public:
  PairStep(const char* call, const SequenceLoss& loss, const SequenceOutputs& out,
           const SequenceOutputs& arrays)
      : loss_(loss), arrays_(arrays) {
    detail::check_slopes(call, loss, out.d_chosen, out.d_rejected);
    loss_.outputs.d_policy_chosen = {arrays.d_chosen, DType::float64};
    loss_.outputs.d_policy_rejected = {arrays.d_rejected, DType::float64};
  }

  /// Turns log-probabilities of the rows of pairs [begin, end) into the rows' coefficients.
  void operator()(std::int64_t begin, std::int64_t end) {
    sequence_step(loss_, begin, end, arrays_.rows.log_prob, arrays_.policy_chosen,
                  arrays_.policy_rejected, sum_);
    row_coefficients(loss_, begin, end, {arrays_.d_chosen, DType::float64},
                     {arrays_.d_rejected, DType::float64}, 1.0, arrays_.coefficient);
  }

  [[nodiscard]] const LossSum& sum() const { return sum_; }

 private:
  SequenceLoss loss_;
  const SequenceOutputs arrays_;
  LossSum sum_;
};

}  // namespace sp2dpo::cpu
