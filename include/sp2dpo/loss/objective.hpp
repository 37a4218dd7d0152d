// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>
#include <cstdio>
#include <string>
#include <type_traits>

#include <sp2dpo/loss/detail/host_device.hpp>

namespace sp2dpo {

/// An objective's value for one pair, and its derivatives there. T is double, or a dual number
/// where second derivatives are asked for.
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
///     struct Squared {  // (1 − z)²
///       template <class T>
///       SP2DPO_HD sp2dpo::ZTerm<T> operator()(T z) const {
///         return {(1 - z) * (1 - z), -2 * (1 - z)};
///       }
///     };
///     sp2dpo::Loss<Squared> loss;
///
/// A template on the scalar has second derivatives as well (pair_curvature.hpp), and calls
/// functions by their bare names (`using std::exp; exp(z)`), so that dual numbers find theirs; one
/// that takes double only is an objective too, without them. Besides, all optional:
///
///     static constexpr const char* name = "squared";  // for messages
///     static constexpr bool takes_margin = false;     // default: true of functions of z alone
///     static constexpr bool average_log_prob = true;  // it wants means over an answer's tokens
///     std::string complaint() const;                  // what is wrong with its parameters, or ""
template <class O>
concept PairObjective = std::is_trivially_copyable_v<O> &&(ZObjective<O> || TwoSidedObjective<O>);

/// Whether a margin means something to the objective.
template <PairObjective O>
inline constexpr bool takes_margin = [] {
  if constexpr (requires { O::takes_margin; }) {
    return static_cast<bool>(O::takes_margin);
  } else {
    return ZObjective<O>;
  }
}();

/// Whether the objective is made for log-probabilities per token, not for those of whole answers.
template <PairObjective O>
inline constexpr bool averages_log_probs = [] {
  if constexpr (requires { O::average_log_prob; }) {
    return static_cast<bool>(O::average_log_prob);
  } else {
    return false;
  }
}();

namespace detail {

/// factor · x, which is 0 where the factor is, even at an infinite x: the limit of all that decays
/// exponentially.
template <class T>
SP2DPO_HD T vanishing(T factor, T x) {
  return factor == 0 ? factor : factor * x;
}

}  // namespace detail

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
    return {term.value, slope, -slope, detail::vanishing(term.slope, delta), -term.slope};
  }
}

namespace detail {

/// What softplus and sigmoid of x are both made of: e = e^−|x| and 1 / (1 + e).
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

/// log(1 + e^x) without overflow, and without cancellation at either end; `by` is decay(x).
template <class T>
SP2DPO_HD T softplus(T x, const Decay<T>& by) {
  using std::log;
  // log1p(e) at half its price: what rounding took from the sum comes back to first order.
  const T sum = T(1) + by.e;
  return (x >= 0 ? x : T(0)) + (log(sum) + (by.e - (sum - T(1))) * by.inverse);
}
template <class T>
SP2DPO_HD T softplus(T x) {
  return softplus(x, decay(x));
}

/// 1 / (1 + e^−x) without overflow; `by` is decay(x).
template <class T>
SP2DPO_HD T sigmoid(T x, const Decay<T>& by) {
  return (x >= 0 ? T(1) : by.e) * by.inverse;
}
template <class T>
SP2DPO_HD T sigmoid(T x) {
  return sigmoid(x, decay(x));
}

/// −log σ(z) + tilt · z, which all smoothed forms of the DPO loss come down to.
template <class T>
SP2DPO_HD ZTerm<T> tilted_logistic(T z, double tilt) {
  const Decay<T> by = decay(-z);  // of -z, also for the sake of derivatives at 0
  return {softplus(-z, by) + vanishing(T(tilt), z), T(tilt) - sigmoid(-z, by)};
}

/// A complaint() about `parameter`, or "" where `ok`.
inline std::string complain_unless(bool ok, const char* parameter, const char* expected,
                                   double value) {
  if (ok) return {};
  char number[32];
  std::snprintf(number, sizeof number, "%.17g", value);
  return std::string(parameter) + " must be " + expected + ", not " + number;
}

}  // namespace detail

/// The DPO loss −log σ(z) (arXiv:2305.18290, eq. 7), here with each pair's own beta
/// (arXiv:2601.22385). With label smoothing ε in [0, 0.5) it is the conservative form (cDPO)
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
