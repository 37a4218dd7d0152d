// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include <sp2dpo/loss/objective.hpp>

/// The losses of the DPO family beside Sigmoid, under the names that TRL gives them. In their
/// formulas r_w and r_l are the rewards beta · delta_chosen and beta · delta_rejected, delta their
/// difference without beta, and z = beta · delta − margin. Those that are not written in z take no
/// margin; those without a member `label_smoothing` have no smoothing.
///
/// TRL's aot and aot_unpaired are not among them: they sort the log-ratios over the batch, after
/// which no loss belongs to a pair, and so none can have the pair's beta, margin or weight.
namespace sp2dpo {
namespace detail {

/// The term of a function of both rewards, from its value and its slopes by r_w and r_l.
template <class T>
SP2DPO_HD PairTerm<T> reward_term(T value, T by_chosen, T by_rejected, T delta_chosen,
                                  T delta_rejected, T beta) {
  return {value, beta * by_chosen, beta * by_rejected,
          vanishing(by_chosen, delta_chosen) + vanishing(by_rejected, delta_rejected), T(0)};
}

/// Derivative of sigmoid.
template <class T>
SP2DPO_HD T sigmoid_slope(T x) {
  return sigmoid(x) * sigmoid(-x);
}

}  // namespace detail

/// max(0, 1 − z), flat at z = 1 (RSO's "hinge-norm", arXiv:2309.06657; SLiC's loss with a
/// reference).
struct Hinge {
  static constexpr const char* name = "hinge";

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    // The last of each is for a NaN, which has to come through.
    return z >= 1 ? ZTerm<T>{T(0), T(0)} : z < 1 ? ZTerm<T>{1 - z, T(-1)} : ZTerm<T>{z, z};
  }
};

/// [−(1−ε) log σ(z) + ε log σ(−z)] / (1−2ε), unbiased where a share ε in [0, 0.5) of the labels is
/// flipped (rDPO, arXiv:2403.00409). Unlike cDPO it has no minimum and can be negative.
struct Robust {
  static constexpr const char* name = "robust";
  double label_smoothing = 0;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    return detail::tilted_logistic(z, -label_smoothing / (1 - 2 * label_smoothing));
  }

  [[nodiscard]] std::string complaint() const { return Sigmoid{label_smoothing}.complaint(); }
};

/// KL(q ‖ (1−ε, ε)) of the policy's preference q = (σ(z), σ(−z)), least at z = logit(1−ε)
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
    // By symmetry, so that the entropy's terms do not cancel far out.
    const T away = fabs(z);
    const T entropy = detail::softplus(-away) + detail::vanishing(detail::sigmoid(-away), away);
    return {-entropy - hit * log_hit - miss * log_miss,
            detail::vanishing(hit * miss, z - (log_hit - log_miss))};
  }

  [[nodiscard]] std::string complaint() const {
    return detail::complain_unless(label_smoothing > 0 && label_smoothing < 1, "label_smoothing",
                                   "in (0, 1)", label_smoothing);
  }
};

/// −log σ(z) (1−m) + e^−z m with m = σ(z / discopop_tau), a loss that a search found
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
    // e^−z and m under one exponent: where one overflows the other is 0.
    const T exponential = exp((z >= 0 ? -z : (steep - 1) * z) - detail::softplus(-steep * fabs(z)));
    return {detail::vanishing(rest, logistic) + exponential,
            -detail::sigmoid(-z) * rest - steep * detail::vanishing(m * rest, logistic) +
                exponential * (steep * rest - 1)};
  }

  [[nodiscard]] std::string complaint() const {
    return detail::complain_unless(discopop_tau > 0 && std::isfinite(discopop_tau), "discopop_tau",
                                   "finite and > 0", discopop_tau);
  }
};

/// −log σ(z) of log-probabilities per token, so that long answers do not saturate it first
/// (length-normalised DPO, arXiv:2411.15124). Betas are larger than DPO's: 2 to 10 are usual.
struct SigmoidNorm {
  static constexpr const char* name = "sigmoid_norm";
  static constexpr bool average_log_prob = true;

  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    return Sigmoid{}(z);
  }
};

/// (delta − 1 / (2 beta))² of log-probabilities per token, as TRL has it with the authors' consent
/// (IPO, arXiv:2310.12036, eq. 17). Here beta sets the log-ratio aimed at, and scales nothing.
struct Ipo {
  static constexpr const char* name = "ipo";
  static constexpr bool average_log_prob = true;

  template <class T>
  SP2DPO_HD PairTerm<T> operator()(T delta_chosen, T delta_rejected, T beta, T) const {
    const T target = 0.5 / beta;
    const T miss = delta_chosen - delta_rejected - target;
    return {miss * miss, 2 * miss, -2 * miss, 2 * miss * target / beta, T(0)};
  }
};

/// (delta_chosen − 1 / (2 beta))² + (delta_rejected + 1 / (2 beta))² (SPPO with hard labels,
/// arXiv:2405.00675, eq. 4.7). As in Ipo, beta sets targets; the loss is of the order 1 / beta².
struct SppoHard {
  static constexpr const char* name = "sppo_hard";

  template <class T>
  SP2DPO_HD PairTerm<T> operator()(T delta_chosen, T delta_rejected, T beta, T) const {
    const T target = 0.5 / beta;
    const T chosen = delta_chosen - target;
    const T rejected = delta_rejected + target;
    return {chosen * chosen + rejected * rejected, 2 * chosen, 2 * rejected,
            2 * (chosen - rejected) * target / beta, T(0)};
  }
};

/// −log σ(r_w) − ½ log σ(−r_w) − ½ log σ(−r_l) (NCA for pairs, arXiv:2402.05369): unlike DPO it
/// keeps the chosen answer's likelihood up.
struct NcaPair {
  static constexpr const char* name = "nca_pair";

  template <class T>
  SP2DPO_HD PairTerm<T> operator()(T delta_chosen, T delta_rejected, T beta, T) const {
    using detail::sigmoid, detail::softplus;
    const T chosen = beta * delta_chosen;
    const T rejected = beta * delta_rejected;
    return detail::reward_term(
        softplus(-chosen) + 0.5 * softplus(chosen) + 0.5 * softplus(rejected),
        0.5 * sigmoid(chosen) - sigmoid(-chosen), 0.5 * sigmoid(rejected), delta_chosen,
        delta_rejected, beta);
  }
};

/// −log σ(r_w) − log σ(−r_l): a classifier of answers (BCO, arXiv:2404.04656), as in TRL without
/// the paper's running mean of the rewards.
struct BcoPair {
  static constexpr const char* name = "bco_pair";

  template <class T>
  SP2DPO_HD PairTerm<T> operator()(T delta_chosen, T delta_rejected, T beta, T) const {
    using detail::sigmoid, detail::softplus;
    const T chosen = beta * delta_chosen;
    const T rejected = beta * delta_rejected;
    return detail::reward_term(softplus(-chosen) + softplus(rejected), -sigmoid(-chosen),
                               sigmoid(rejected), delta_chosen, delta_rejected, beta);
  }
};

/// σ(−r_w) + σ(r_l), in [0, 2]: chosen answers up, rejected ones down, for chosen answers better
/// than the model's own (Anchored Preference Optimization, arXiv:2408.06266, eq. 7).
struct ApoZero {
  static constexpr const char* name = "apo_zero";

  template <class T>
  SP2DPO_HD PairTerm<T> operator()(T delta_chosen, T delta_rejected, T beta, T) const {
    using detail::sigmoid, detail::sigmoid_slope;
    const T chosen = beta * delta_chosen;
    const T rejected = beta * delta_rejected;
    return detail::reward_term(sigmoid(-chosen) + sigmoid(rejected), -sigmoid_slope(chosen),
                               sigmoid_slope(rejected), delta_chosen, delta_rejected, beta);
  }
};

/// σ(r_w) + σ(r_l − r_w), in [0, 2]: both answers down, the rejected one more, for chosen answers
/// worse than the model's own (Anchored Preference Optimization, arXiv:2408.06266, eq. 8).
struct ApoDown {
  static constexpr const char* name = "apo_down";

  template <class T>
  SP2DPO_HD PairTerm<T> operator()(T delta_chosen, T delta_rejected, T beta, T) const {
    using detail::sigmoid, detail::sigmoid_slope;
    const T chosen = beta * delta_chosen;
    const T lead = beta * (delta_chosen - delta_rejected);
    return detail::reward_term(sigmoid(chosen) + sigmoid(-lead),
                               sigmoid_slope(chosen) - sigmoid_slope(lead), sigmoid_slope(lead),
                               delta_chosen, delta_rejected, beta);
  }
};

/// Types in a row, for a loop over them at compile time.
template <class... Objectives>
struct ObjectiveList {};

/// Those that CUDA tensors can have without a line of registration, and operators know by name.
using BuiltInObjectives = ObjectiveList<Sigmoid, Hinge, Robust, ExoPair, DiscoPop, SigmoidNorm, Ipo,
                                        SppoHard, NcaPair, BcoPair, ApoZero, ApoDown>;

}  // namespace sp2dpo
