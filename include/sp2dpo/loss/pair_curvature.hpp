// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

#include <sp2dpo/loss/detail/dual.hpp>
#include <sp2dpo/loss/pair_loss.hpp>

namespace sp2dpo {

/// An objective that also takes dual numbers, like one written for any scalar.
template <class O>
concept TwiceDifferentiable = PairObjective<O> && requires(const O& objective, detail::Dual x) {
  requires requires {
    { objective(x) } -> std::same_as<ZTerm<detail::Dual>>;
  } || requires {
    { objective(x, x, x, x) } -> std::same_as<PairTerm<detail::Dual>>;
  };
};

/// The direction in which the inputs move, by pair. Reference and weight are constants.
struct PairDirection {
  PairValues policy_chosen = 0.0;
  PairValues policy_rejected = 0.0;
  PairValues beta = 0.0;
  PairValues margin = 0.0;
};

/// Writes pair_step's outputs for pair i, each differentiated along the direction: the derivatives
/// become the Hessian of gradient_scale · weight · value times the direction. Returns the
/// derivative of weight · value. The results are NaN wherever pair_step's are.
template <TwiceDifferentiable Objective>
SP2DPO_HD double pair_curvature_step(const PairInputs& in, const PairDirection& direction,
                                     const PairOutputs& out, const Objective& objective,
                                     std::int64_t i) {
  using detail::Dual;
  const double weight = in.weight[i];
  const Dual beta(in.beta[i], direction.beta[i]);
  const Dual margin(in.margin[i], direction.margin[i]);
  if (!detail::are_valid(beta.value, margin.value, weight)) {
    out.set_all(i, NAN);
    return NAN;
  }
  const Dual delta_chosen(in.policy_chosen[i] - in.reference_chosen[i], direction.policy_chosen[i]);
  const Dual delta_rejected(in.policy_rejected[i] - in.reference_rejected[i],
                            direction.policy_rejected[i]);
  const auto term = pair_term(objective, delta_chosen, delta_rejected, beta, margin);
  const double loss = weight * term.value.slope;
  const double scale = weight * out.gradient_scale;

  out.loss.set(i, loss);
  out.d_policy_chosen.set(i, scale * term.d_delta_chosen.slope);
  out.d_policy_rejected.set(i, scale * term.d_delta_rejected.slope);
  out.d_beta.set(i, scale * term.d_beta.slope);
  out.d_margin.set(i, scale * term.d_margin.slope);
  out.chosen_reward.set(i, (beta * delta_chosen).slope);
  out.rejected_reward.set(i, (beta * delta_rejected).slope);
  out.delta.set(i, (delta_chosen - delta_rejected).slope);
  return loss;
}

/// Runs pair_curvature_step for the pairs in [begin, end) on the host, as double backward needs it:
/// with the gradient's own gradient as the direction, `out.loss` is the gradient by the upstream
/// gradient, and the derivatives are those by the inputs. Returns the sum of `out.loss`. Throws as
/// pair_loss does.
template <TwiceDifferentiable Objective>
double pair_curvature(const PairInputs& in, const PairDirection& direction, const PairOutputs& out,
                      std::int64_t begin, std::int64_t end, const Objective& objective) {
  if (begin < end) {
    constexpr const char* call = "pair_curvature";
    detail::require_inputs(call, "in.", in);
    detail::require_values(call, "direction.", "policy_chosen", direction.policy_chosen);
    detail::require_values(call, "direction.", "policy_rejected", direction.policy_rejected);
    detail::require_values(call, "direction.", "beta", direction.beta);
    detail::require_values(call, "direction.", "margin", direction.margin);
  }
  double sum = 0;
  for (std::int64_t i = begin; i < end; ++i)
    sum += pair_curvature_step(in, direction, out, objective, i);
  return sum;
}

}  // namespace sp2dpo
