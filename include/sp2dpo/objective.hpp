// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>
#include <type_traits>

#include <sp2dpo/detail/host_device.hpp>

namespace sp2dpo {

/// An objective's value for one pair, and its derivatives there. T is double, or a dual number where
/// second derivatives are asked for.
template <class T = double>
struct PairTerm {
  T value;
  T d_delta_chosen;
  T d_delta_rejected;
  T d_beta;
  T d_margin;
};

/// Value and derivative of a function of z alone.
template <class T = double>
struct ZTerm {
  T value;
  T slope;
};

/// An objective that is a function of z = beta · (delta_chosen − delta_rejected) − margin alone.
template <class O>
concept ZObjective = requires(const O& objective, double z) {
  { objective(z) } -> std::same_as<ZTerm<double>>;
};

/// An objective that treats the two answers differently, a function of
/// (delta_chosen, delta_rejected, beta, margin).
template <class O>
concept TwoSidedObjective = requires(const O& objective, double x) {
  { objective(x, x, x, x) } -> std::same_as<PairTerm<double>>;
};

/// The mathematics of a loss for one pair. `delta_chosen` and `delta_rejected` are policy minus
/// reference log-probability of either answer, in nats; `beta` > 0; `margin` is in reward units.
/// Small and trivially copyable, since it goes to kernels by value; callable on the device
/// (SP2DPO_HD) to be used there.
///
///     struct Squared {                                     // (1 − z)²
///       template <class T>
///       SP2DPO_HD sp2dpo::ZTerm<T> operator()(T z) const { return {(1 - z) * (1 - z), -2 * (1 - z)}; }
///     };
///     sp2dpo::Loss<Squared> loss;
template <class O>
concept PairObjective = std::is_trivially_copyable_v<O> &&(ZObjective<O> || TwoSidedObjective<O>);

/// The objective's value and derivatives for one pair, whichever of the two forms it has.
template <PairObjective Objective, class T>
SP2DPO_HD PairTerm<T> pair_term(const Objective& objective, T delta_chosen, T delta_rejected,
                                T beta, T margin) {
  if constexpr (TwoSidedObjective<Objective>) {
    return objective(delta_chosen, delta_rejected, beta, margin);
  } else {
    const T delta = delta_chosen - delta_rejected;
    const ZTerm<T> term = objective(beta * delta - margin);
    const T slope = beta * term.slope;
    return {term.value, slope, -slope, delta * term.slope, -term.slope};
  }
}

namespace detail {

/// log(1 + e^x) without overflow, and without cancellation at either end.
template <class T>
SP2DPO_HD T softplus(T x) {
  using std::exp, std::fabs, std::log1p;
  return (x > 0 ? x : T(0)) + log1p(exp(-fabs(x)));
}

/// 1 / (1 + e^−x) without overflow.
template <class T>
SP2DPO_HD T sigmoid(T x) {
  using std::exp, std::fabs;
  const T e = exp(-fabs(x));
  return (x >= 0 ? T(1) : e) / (T(1) + e);
}

}  // namespace detail

/// The DPO loss −log σ(z) (arXiv:2305.18290, eq. 7), here with each pair's own beta
/// (arXiv:2601.22385). With label smoothing ε in [0, 0.5) it is the conservative form
/// −(1−ε) log σ(z) − ε log σ(−z).
struct Sigmoid {
  double label_smoothing = 0;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    const T flipped(label_smoothing);
    // (1−ε) softplus(−z) + ε softplus(z) = softplus(−z) + ε z, which needs one logarithm.
    return {detail::softplus(-z) + flipped * z, flipped - detail::sigmoid(-z)};
  }
};

static_assert(PairObjective<Sigmoid>);

}  // namespace sp2dpo
