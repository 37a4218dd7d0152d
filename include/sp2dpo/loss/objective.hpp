// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfloat>
#include <cmath>
#include <concepts>
#include <cstdio>
#include <string>
#include <type_traits>

#include <sp2dpo/loss/detail/host_device.hpp>

#if defined(__FAST_MATH__) || __FINITE_MATH_ONLY__ || defined(__ASSOCIATIVE_MATH__)
#error \
    "sp2dpo: the loss needs exact floating-point arithmetic; compile without -ffast-math and -Ofast"
#endif

namespace sp2dpo {

/// An objective's value for one pair, and its derivatives there. T is double, or a dual number for
/// second derivatives.
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

/// An objective that treats chosen and rejected differently, a function of
/// (delta_chosen, delta_rejected, beta, margin).
template <class O>
concept TwoSidedObjective = requires(const O& objective, double x) {
  { objective(x, x, x, x) } -> std::same_as<PairTerm<double>>;
};

/// The mathematics of a loss for one pair. `delta_chosen` and `delta_rejected` are the policy's
/// minus the reference's log-probability of either response, in nats; `beta` > 0; `margin` is in
/// reward units. An objective is small and trivially copyable, since kernels take it by value. For
/// use on a device, its call operator is marked SP2DPO_HD.
///
///     struct Squared {  // (1 − z)²
///       template <class T>
///       SP2DPO_HD sp2dpo::ZTerm<T> operator()(T z) const {
///         return {(1 - z) * (1 - z), -2 * (1 - z)};
///       }
///     };
///     sp2dpo::Loss<Squared> loss;
///
/// An objective that is a template on the scalar also has second derivatives (pair_curvature.hpp).
/// It calls functions by their bare names (`using std::exp; exp(z)`), so that dual numbers find
/// theirs. An objective that takes only double has none. Optional members:
///
///     static constexpr const char* name = "squared";  // for messages
///     static constexpr bool takes_margin = false;     // default: true of functions of z alone
///     static constexpr bool average_log_prob = true;  // needs means over tokens, not sums
///     std::string complaint() const;                  // what is wrong with its parameters, or ""
template <class O>
concept PairObjective = std::is_trivially_copyable_v<O> &&(ZObjective<O> || TwoSidedObjective<O>);

/// True if the objective uses a margin.
template <PairObjective O>
inline constexpr bool takes_margin = [] {
  if constexpr (requires { O::takes_margin; }) {
    return static_cast<bool>(O::takes_margin);
  } else {
    return ZObjective<O>;
  }
}();

/// True if the objective takes log-probabilities per token, not those of whole responses.
template <PairObjective O>
inline constexpr bool averages_log_probs = [] {
  if constexpr (requires { O::average_log_prob; }) {
    return static_cast<bool>(O::average_log_prob);
  } else {
    return false;
  }
}();

namespace detail {

/// Returns factor · x, or 0 where the factor is 0, even at an infinite x: the limit of anything
/// that decays exponentially. Of dual numbers, each term of the product rule vanishes by itself.
template <class T>
SP2DPO_HD T vanishing(T factor, T x) {
  if constexpr (requires { factor.slope; }) {
    return {vanishing(factor.value, x.value),
            vanishing(factor.slope, x.value) + vanishing(factor.value, x.slope)};
  } else {
    return factor == 0 ? factor : factor * x;
  }
}

}  // namespace detail

/// Evaluates an objective of either form for one pair.
template <PairObjective Objective, class T>
SP2DPO_HD PairTerm<T> pair_term(const Objective& objective, T delta_chosen, T delta_rejected,
                                T beta, T margin) {
  if constexpr (TwoSidedObjective<Objective>) {
    return objective(delta_chosen, delta_rejected, beta, margin);
  } else {
    const T delta = delta_chosen - delta_rejected;
    const ZTerm<T> term = objective(beta * delta - margin);
    const T slope = beta * term.slope;
    return {term.value, slope, -slope, detail::vanishing(term.slope, delta), -term.slope};
  }
}

namespace detail {

/// The parts that softplus and sigmoid of x share: e = e^−|x| and 1 / (1 + e).
template <class T>
struct Decay {
  T e;
  T inverse;
};
template <class T>
SP2DPO_HD Decay<T> decay(T x) {
  using std::exp, std::fabs;
  const T e = exp(-fabs(x));
  return {e, T(1) / (T(1) + e)};
}

/// Returns log(1 + e^x) without overflow or cancellation; `by` is decay(x).
template <class T>
SP2DPO_HD T softplus(T x, const Decay<T>& by) {
#ifdef __clang__  // which has no macro that tells of -funsafe-math-optimizations
#pragma clang fp reassociate(off)
#endif
  using std::log;
  // log1p(e) at half the cost: the last term restores, to first order, what the sum rounded away.
  const T sum = T(1) + by.e;
  return (x >= 0 ? x : T(0)) + (log(sum) + (by.e - (sum - T(1))) * by.inverse);
}
template <class T>
SP2DPO_HD T softplus(T x) {
  return softplus(x, decay(x));
}

/// Returns 1 / (1 + e^−x) without overflow; `by` is decay(x).
template <class T>
SP2DPO_HD T sigmoid(T x, const Decay<T>& by) {
  return (x >= 0 ? T(1) : by.e) * by.inverse;
}
template <class T>
SP2DPO_HD T sigmoid(T x) {
  return sigmoid(x, decay(x));
}

/// Returns −log σ(z) + tilt · z; every smoothed form of the DPO loss reduces to it.
template <class T>
SP2DPO_HD ZTerm<T> tilted_logistic(T z, double tilt) {
  const Decay<T> by = decay(-z);  // of −z, which also gives the right derivatives at 0
  // At −∞ the first term is (1 − tilt) · ∞ alone; the sum would be ∞ − ∞.
  const T line = z < -DBL_MAX ? T(0) : vanishing(T(tilt), z);
  return {softplus(-z, by) + line, T(tilt) - sigmoid(-z, by)};
}

/// Returns "" if `ok`, else a complaint() about `parameter`.
inline std::string complain_unless(bool ok, const char* parameter, const char* expected,
                                   double value) {
  if (ok) return {};
  char number[32];
  std::snprintf(number, sizeof number, "%.17g", value);
  return std::string(parameter) + " must be " + expected + ", not " + number;
}

}  // namespace detail

/// The DPO loss −log σ(z) (arXiv:2305.18290, eq. 7), with each pair's own beta
/// (arXiv:2601.22385). With label smoothing ε in [0, 0.5) it becomes cDPO,
/// −(1−ε) log σ(z) − ε log σ(−z).
struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  double label_smoothing = 0;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    // (1−ε) softplus(−z) + ε softplus(z) = softplus(−z) + ε z, which needs one logarithm.
    return detail::tilted_logistic(z, label_smoothing);
  }

  /// Says what is wrong with a parameter; empty if all are valid.
  [[nodiscard]] std::string complaint() const {
    return detail::complain_unless(label_smoothing >= 0 && label_smoothing < 0.5, "label_smoothing",
                                   "in [0, 0.5)", label_smoothing);
  }
};

static_assert(PairObjective<Sigmoid>);

}  // namespace sp2dpo
