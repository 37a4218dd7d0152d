// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/loss/objective.hpp>

/// Losses of the DPO family that treat the chosen and the rejected response differently. In their
/// formulas r_w and r_l are the rewards beta · delta_chosen and beta · delta_rejected, and delta is
/// delta_chosen − delta_rejected. They take no margin and have no label smoothing.
/// built_in_objectives.hpp includes all of them.
namespace sp2dpo {
namespace detail {

/// Builds the term of a function of both rewards from its value and its slopes by r_w and r_l.
template <class T>
SP2DPO_HD PairTerm<T> reward_term(T value, T by_chosen, T by_rejected, T delta_chosen,
                                  T delta_rejected, T beta) {
  return {value, beta * by_chosen, beta * by_rejected,
          vanishing(by_chosen, delta_chosen) + vanishing(by_rejected, delta_rejected), T(0)};
}

/// The derivative of sigmoid.
template <class T>
SP2DPO_HD T sigmoid_slope(T x) {
  return sigmoid(x) * sigmoid(-x);
}

}  // namespace detail

/// (delta − 1 / (2 beta))² of log-probabilities per token, as in TRL with the authors' consent
/// (IPO, arXiv:2310.12036, eq. 17). Here beta sets the target log-ratio and scales nothing.
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
/// arXiv:2405.00675, eq. 4.7). Like Ipo, it takes its targets from beta; it is of order 1 / beta².
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

/// −log σ(r_w) − ½ log σ(−r_w) − ½ log σ(−r_l) (NCA for pairs, arXiv:2402.05369). Unlike DPO
/// it keeps the likelihood of the chosen response up.
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

/// −log σ(r_w) − log σ(−r_l), a classifier of responses (BCO, arXiv:2404.04656); as in TRL, without
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

/// σ(−r_w) + σ(r_l), in [0, 2], raises chosen and lowers rejected responses; for chosen responses
/// better than the model's own (Anchored Preference Optimization, arXiv:2408.06266, eq. 7).
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

/// σ(r_w) + σ(r_l − r_w), in [0, 2], lowers both responses, the rejected one more; for chosen
/// responses worse than the model's own (Anchored Preference Optimization, arXiv:2408.06266, eq.
/// 8).
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

}  // namespace sp2dpo
