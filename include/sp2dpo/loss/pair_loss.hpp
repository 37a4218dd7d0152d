// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include <sp2dpo/loss/objective.hpp>
#include <sp2dpo/loss/pair_values.hpp>

namespace sp2dpo {

namespace detail {

/// Returns whether beta is finite and positive, margin finite, and weight finite and >= 0.
SP2DPO_HD inline bool are_valid(double beta, double margin, double weight) {
  constexpr double largest = DBL_MAX;  // a macro: std::numeric_limits is host-only under nvcc
  return beta > 0 && beta <= largest && weight >= 0 && weight <= largest && margin >= -largest &&
         margin <= largest;
}

}  // namespace detail

/// Computes the loss of pair i in double. This is the only place where log-probabilities, beta,
/// margin and weight meet; the host's loop and the kernels both call it. Returns weight · value.
/// All outputs are NaN unless beta is finite and > 0, weight finite and >= 0, and margin finite.
template <PairObjective Objective>
SP2DPO_HD double pair_step(const PairInputs& in, const PairOutputs& out, const Objective& objective,
                           std::int64_t i) {
  const double delta_chosen = in.policy_chosen[i] - in.reference_chosen[i];
  const double delta_rejected = in.policy_rejected[i] - in.reference_rejected[i];
  const double beta = in.beta[i];
  const double margin = in.margin[i];
  const double weight = in.weight[i];
  if (!detail::are_valid(beta, margin, weight)) {
    constexpr double nan = NAN;
    out.set_all(i, nan);
    return nan;
  }
  const auto term = pair_term(objective, delta_chosen, delta_rejected, beta, margin);
  const double loss = weight * term.value;
  const double scale = weight * out.gradient_scale;

  out.loss.set(i, loss);
  out.d_policy_chosen.set(i, scale * term.d_delta_chosen);
  out.d_policy_rejected.set(i, scale * term.d_delta_rejected);
  out.d_beta.set(i, scale * term.d_beta);
  out.d_margin.set(i, scale * term.d_margin);
  out.chosen_reward.set(i, beta * delta_chosen);
  out.rejected_reward.set(i, beta * delta_rejected);
  out.delta.set(i, delta_chosen - delta_rejected);
  return loss;
}

/// Computes loss and gradient of the pairs in [begin, end) on the host, in one pass over memory
/// that the caller owns. Returns Σ weight_i · value_i, summed in the order of the pairs. Allocates
/// nothing. Throws InvalidArgument if the range is not empty and an input is a null array.
template <PairObjective Objective>
double pair_loss(const PairInputs& in, const PairOutputs& out, std::int64_t begin, std::int64_t end,
                 const Objective& objective) {
  if (begin < end) detail::require_inputs("pair_loss", "in.", in);
  double sum = 0;
  for (std::int64_t i = begin; i < end; ++i) sum += pair_step(in, out, objective, i);
  return sum;
}

}  // namespace sp2dpo
