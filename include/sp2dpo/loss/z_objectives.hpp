// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include <sp2dpo/loss/objective.hpp>

/// Losses of the DPO family that are functions of z = beta · delta − margin, where delta is the
/// chosen minus the rejected log-ratio. built_in_objectives.hpp includes all of them.
namespace sp2dpo {

/// max(0, 1 − z), flat at z = 1 (RSO's "hinge-norm", arXiv:2309.06657; SLiC's loss with a
/// reference).
struct Hinge {
  static constexpr const char* name = "hinge";

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    // The last alternative lets a NaN through.
    return z >= 1 ? ZTerm<T>{T(0), T(0)} : z < 1 ? ZTerm<T>{1 - z, T(-1)} : ZTerm<T>{z, z};
  }
};

/// [−(1−ε) log σ(z) + ε log σ(−z)] / (1−2ε), unbiased if a fraction ε in [0, 0.5) of the labels is
/// flipped (rDPO, arXiv:2403.00409). Unlike cDPO it has no minimum and can be negative.
struct Robust {
  static constexpr const char* name = "robust";
  double label_smoothing = 0;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    return detail::tilted_logistic(z, -label_smoothing / (1 - 2 * label_smoothing));
  }

  /// Says what is wrong with a parameter; empty if all are valid.
  [[nodiscard]] std::string complaint() const { return Sigmoid{label_smoothing}.complaint(); }
};

/// KL(q ‖ (1−ε, ε)) of the policy's preference q = (σ(z), σ(−z)), minimal at z = logit(1−ε)
/// (EXO, arXiv:2402.00856, eq. 16); ε in (0, 1).
struct ExoPair {
  static constexpr const char* name = "exo_pair";
  double label_smoothing = 1e-3;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    using std::fabs, std::log, std::log1p;
    const T hit = detail::sigmoid(z);
    const T miss = detail::sigmoid(-z);
    const double log_hit = log1p(-label_smoothing);
    const double log_miss = log(label_smoothing);
    // By symmetry, so that the entropy's terms do not cancel at large |z|.
    const T away = fabs(z);
    const T entropy = detail::softplus(-away) + detail::vanishing(detail::sigmoid(-away), away);
    return {-entropy - hit * log_hit - miss * log_miss,
            detail::vanishing(hit * miss, z - (log_hit - log_miss))};
  }

  /// Says what is wrong with a parameter; empty if all are valid.
  [[nodiscard]] std::string complaint() const {
    return detail::complain_unless(label_smoothing > 0 && label_smoothing < 1, "label_smoothing",
                                   "in (0, 1)", label_smoothing);
  }
};

/// −log σ(z) (1−m) + e^−z m with m = σ(z / discopop_tau), a loss found by search
/// (DiscoPOP, arXiv:2406.08414, eq. 5); discopop_tau > 0. Not convex.
struct DiscoPop {
  static constexpr const char* name = "discopop";
  double discopop_tau = 0.05;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    using std::exp, std::fabs;
    const double steep = 1 / discopop_tau;
    const T m = detail::sigmoid(steep * z);
    const T rest = detail::sigmoid(-steep * z);
    const T logistic = detail::softplus(-z);
    // e^−z and m share one exponent: where one overflows, the other is 0.
    const T exponential = exp((z >= 0 ? -z : detail::vanishing(T(steep - 1), z)) -
                              detail::softplus(-steep * fabs(z)));
    return {detail::vanishing(rest, logistic) + exponential,
            -detail::sigmoid(-z) * rest - steep * detail::vanishing(m * rest, logistic) +
                exponential * (steep * rest - 1)};
  }

  /// Says what is wrong with a parameter; empty if all are valid.
  [[nodiscard]] std::string complaint() const {
    return detail::complain_unless(discopop_tau > 0 && std::isfinite(discopop_tau), "discopop_tau",
                                   "finite and > 0", discopop_tau);
  }
};

/// −log σ(z) of log-probabilities per token, so that long responses do not saturate it first
/// (length-normalised DPO, arXiv:2411.15124). Its betas are larger than DPO's, usually 2 to 10.
struct SigmoidNorm {
  static constexpr const char* name = "sigmoid_norm";
  static constexpr bool average_log_prob = true;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    return Sigmoid{}(z);
  }
};

}  // namespace sp2dpo
