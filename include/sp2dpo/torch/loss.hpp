// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/torch/batch.hpp>
#include <sp2dpo/torch/loss_output.hpp>

namespace sp2dpo {

/// How the losses of the pairs become the result.
enum class Reduction : std::uint8_t { none, mean, sum };

/// What becomes of a pair with an answer of which every label is masked.
enum class EmptyRows : std::uint8_t {
  error,  ///< it is refused
  skip,  ///< it does not count: neither in the sum nor in the number of pairs, and without gradient
  keep   ///< the empty answer's log-probability is 0
};

/// Names and defaults are TRL's and Liger's where they have them.
struct LossOptions {
  /// mean: Σ weight_i · loss_i / the number of pairs that count.
  Reduction reduction = Reduction::mean;
  /// Replaces that number: give the number of pairs of all ranks and accumulation steps, and the
  /// sum of their losses is the mean over all of them.
  std::optional<double> normalizer{};

  // From here on: of the losses from logits and from hidden states.
  bool average_log_prob = false;  ///< answers' log-probabilities are means over their tokens
  std::int64_t ignore_index = -100;
  EmptyRows empty_rows = EmptyRows::error;
  double nll_coefficient =
      0;  ///< adds this times the NLL of the chosen answers, a mean over tokens
  std::optional<double> nll_normalizer{};  ///< replaces that mean's number of tokens
  bool mean_logits = false;                ///< metrics() has logits/chosen and logits/rejected
};

/// Choices of the loss from logits.
struct LogitsOptions {
  PairLayout layout{};
  std::optional<std::int64_t> vocab_size{};  ///< columns that count, of a padded vocabulary
  /// Where backward writes the gradient instead of a fresh tensor: of the logits' shape and type.
  at::Tensor gradient_buffer{};
  /// Backward writes the gradient over the logits, whose version it raises, so that whatever else
  /// still needs them raises an error. One backward only.
  bool gradient_in_place = false;
};

/// Choices of the loss from hidden states.
struct HiddenOptions {
  PairLayout layout{};
  std::optional<std::int64_t> vocab_size{};
  /// For logits: pairs are taken as they fit. By default 256 MiB on the CPU, 1 GiB on a GPU.
  std::optional<std::int64_t> workspace_bytes{};
  bool precise = false;  ///< matrix products in float32 whatever the type of hidden and head
  /// float32 [V, H], to which the head's gradient is added as it is made (an accumulator in the
  /// manner of Megatron's main_grad); the head itself then gets none through autograd. What is
  /// added is the gradient of the loss as returned, whatever backward scales it by.
  at::Tensor main_grad{};
};

/// Gradients from the calls without autograd, of the reduced loss.
struct LogProbsGradient {
  LossOutput output;
  at::Tensor chosen;    ///< [P]
  at::Tensor rejected;  ///< [P]
};
/// The result of Loss::value_and_grad_from_logits().
struct LogitsGradient {
  LossOutput output;
  at::Tensor
      logits;  ///< as the logits; row r of a unit gradient is to be multiplied by row_scale[r]
  at::Tensor row_scale;  ///< float64 [rows], unit gradients only
};
/// The result of Loss::value_and_grad_from_hidden().
struct HiddenGradient {
  LossOutput output;
  at::Tensor hidden;
  at::Tensor
      head_weight;  ///< float32 (float64 for float64 input); undefined where it is not wanted
  at::Tensor head_bias;
};

namespace detail {

/// The arguments of a loss of logits, borrowed.
struct LogitsArguments {
  const at::Tensor &logits, &labels;
  const Reference& reference;
  const Controls& controls;
  const LogitsOptions& how;
};

/// The arguments of a loss of hidden states, borrowed.
struct HiddenArguments {
  const at::Tensor &hidden, &head_weight, &head_bias, &labels;
  const Reference& reference;
  const Controls& controls;
  const HiddenOptions& how;
};

LossOutput loss_of_log_probs(const AnyObjective&, const LossOptions&, const LogProbs& policy,
                             const LogProbs& reference, const Controls&);
LogProbsGradient value_and_grad_of_log_probs(const AnyObjective&, const LossOptions&,
                                             const LogProbs& policy, const LogProbs& reference,
                                             const Controls&);
LossOutput loss_of_logits(const AnyObjective&, const LossOptions&, const LogitsArguments&);
LogitsGradient value_and_grad_of_logits(const AnyObjective&, const LossOptions&,
                                        const LogitsArguments&, bool unit);
LossOutput loss_of_hidden(const AnyObjective&, const LossOptions&, const HiddenArguments&);
HiddenGradient value_and_grad_of_hidden(const AnyObjective&, const LossOptions&,
                                        const HiddenArguments&, bool need_dw);

}  // namespace detail

/// DPO's loss with a beta for each pair: one fused pass gives loss and gradient.
///
///     sp2dpo::Loss<> loss;
///     auto out = loss({pc, pr}, {rc, rr}, {.beta = beta});   // [P] each; beta from a Schedule
///     out.loss.backward();
///
/// An objective of one's own is a template argument (see objective.hpp). Every call throws
/// c10::Error, naming the tensor, what was expected and what came, for a shape, type, device or
/// value that is wrong; values on a GPU are found out by LossOutput::check() instead.
template <PairObjective Objective = Sigmoid>
class Loss {
 public:
  explicit Loss(Objective objective = {}, LossOptions options = {})
      : objective_(objective), options_(options) {}

  /// The loss of answers' log-probabilities. Gradients flow to the policy's.
  [[nodiscard]] LossOutput operator()(const LogProbs& policy, const LogProbs& reference,
                                      const Controls& controls) const {
    return detail::loss_of_log_probs(objective_, options_, policy, reference, controls);
  }

  /// The loss of logits [2P, T, V] (any outer strides) with labels int64 [2P, T], or of packed rows
  /// [R, V] with labels [R]. The label of a row is the token it predicts (shift_for_causal_lm), or
  /// ignore_index where it does not count: such rows are not read. Gradients flow to the logits.
  [[nodiscard]] LossOutput from_logits(const at::Tensor& logits, const at::Tensor& labels,
                                       const Reference& reference, const Controls& controls,
                                       const LogitsOptions& options = {}) const {
    return detail::loss_of_logits(objective_, options_,
                                  {logits, labels, reference, controls, options});
  }

  /// The loss of hidden states [2P, T, H] or [R, H] under the head's weight [V, H] and bias ([V],
  /// or undefined): the logits [R, V] are never held. The gradients are made in forward and scaled
  /// in backward; only the reduced loss is differentiable, by hidden, head, beta and margin. Where
  /// hidden is on a GPU the labels may be there too, and nothing waits for them; or on the CPU:
  /// then masked rows are left out of the matrix products.
  [[nodiscard]] LossOutput from_hidden(const at::Tensor& hidden, const at::Tensor& head_weight,
                                       const at::Tensor& head_bias, const at::Tensor& labels,
                                       const Reference& reference, const Controls& controls,
                                       const HiddenOptions& options = {}) const {
    return detail::loss_of_hidden(
        objective_, options_,
        {hidden, head_weight, head_bias, labels, reference, controls, options});
  }

  /// Loss and gradient at once, without autograd.
  [[nodiscard]] LogProbsGradient value_and_grad(const LogProbs& policy, const LogProbs& reference,
                                                const Controls& controls) const {
    return detail::value_and_grad_of_log_probs(objective_, options_, policy, reference, controls);
  }

  /// As from_logits with its gradient, pair by pair while a pair's rows are in the cache. With
  /// `unit` in one pass over the logits: row r of the gradient is onehot − softmax, to be
  /// multiplied by row_scale[r] where it is used.
  [[nodiscard]] LogitsGradient value_and_grad_from_logits(
      const at::Tensor& logits, const at::Tensor& labels, const Reference& reference,
      const Controls& controls, const LogitsOptions& options = {}, bool unit = false) const {
    return detail::value_and_grad_of_logits(objective_, options_,
                                            {logits, labels, reference, controls, options}, unit);
  }

  /// As from_hidden with its gradients. Without `need_dw` the head's is left out, and its third
  /// matrix product with it (LoRA, a frozen head).
  [[nodiscard]] HiddenGradient value_and_grad_from_hidden(
      const at::Tensor& hidden, const at::Tensor& head_weight, const at::Tensor& head_bias,
      const at::Tensor& labels, const Reference& reference, const Controls& controls,
      const HiddenOptions& options = {}, bool need_dw = true) const {
    return detail::value_and_grad_of_hidden(
        objective_, options_,
        {hidden, head_weight, head_bias, labels, reference, controls, options}, need_dw);
  }

 private:
  Objective objective_;
  LossOptions options_;
};

/// Labels of a causal language model, [S, T] tokens with ignored ones masked already, moved one to
/// the left: row t predicts token t + 1, and the last row nothing. The logits stay as they are.
[[nodiscard]] at::Tensor shift_for_causal_lm(const at::Tensor& labels,
                                             std::int64_t ignore_index = -100);

}  // namespace sp2dpo
