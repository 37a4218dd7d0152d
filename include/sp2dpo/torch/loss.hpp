// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/torch/batch.hpp>
#include <sp2dpo/torch/loss_output.hpp>

namespace sp2dpo {

/// The reduction of the losses of a batch.
enum class Reduction : std::uint8_t { none, mean, sum };

/// The treatment of a pair with a response whose labels are all masked.
enum class EmptyRows : std::uint8_t {
  error,  ///< refused
  skip,   ///< left out of the sum and of the number of pairs; its gradient is zero
  keep    ///< the empty response's log-probability is 0
};

/// The options of a Loss. Names and defaults follow TRL and Liger where these have them.
struct LossOptions {
  /// With mean, Σ weight_i · loss_i divided by the number of pairs that count.
  Reduction reduction = Reduction::mean;
  /// Replaces that number. With the number of pairs of all ranks and accumulation steps, the sum of
  /// their losses is the mean over all of them.
  std::optional<double> normalizer{};

  // The following options apply to losses from logits and from hidden states.
  bool average_log_prob = false;  ///< log-probabilities are means over a response's tokens
  std::int64_t ignore_index = -100;
  EmptyRows empty_rows = EmptyRows::error;
  double nll_coefficient = 0;  ///< factor of the NLL of the chosen responses, a mean over tokens
  std::optional<double> nll_normalizer{};  ///< replaces that mean's number of tokens
  bool mean_logits = false;                ///< metrics() has logits/chosen and logits/rejected
};

/// The options of losses from logits.
struct LogitsOptions {
  PairLayout layout{};
  std::optional<std::int64_t> vocab_size{};  ///< columns of a padded vocabulary that count
  /// The tensor, of the logits' shape and type, that backward writes the gradient to instead of a
  /// new one.
  at::Tensor gradient_buffer{};
  /// Makes backward overwrite the logits with their gradient. It bumps their version, so that any
  /// other node that still needs them raises an error. Allows one backward only.
  bool gradient_in_place = false;
};

/// The options of losses from hidden states.
struct HiddenOptions {
  PairLayout layout{};
  std::optional<std::int64_t> vocab_size{};
  /// Memory for logits, which limits how many pairs are taken at a time. By default 256 MiB on the
  /// CPU and 1 GiB on a GPU.
  std::optional<std::int64_t> workspace_bytes{};
  bool precise = false;  ///< matrix products in float32 for 16-bit hidden states and head too
  /// A tensor float32 [V, H], like Megatron's main_grad, to which the head's gradient is added in
  /// forward; the head then gets no gradient through autograd. The gradient is that of the returned
  /// loss, whatever backward scales it by.
  at::Tensor main_grad{};
};

/// The reduced loss of log-probabilities and its gradient, without autograd.
struct LogProbsGradient {
  LossOutput output;
  at::Tensor chosen;    ///< [P]
  at::Tensor rejected;  ///< [P]
};
/// The reduced loss of logits and its gradient, without autograd.
struct LogitsGradient {
  LossOutput output;
  at::Tensor logits;     ///< like the logits; multiply row r of a unit gradient by row_scale[r]
  at::Tensor row_scale;  ///< float64 [rows], unit gradients only
};
/// The reduced loss of hidden states and its gradients, without autograd.
struct HiddenGradient {
  LossOutput output;
  at::Tensor hidden;
  at::Tensor head_weight;  ///< float32 (float64 for float64 input); undefined if not requested
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

/// The DPO loss with a beta for each pair. One fused pass computes loss and gradient.
///
///     sp2dpo::Loss<> loss;
///     auto out = loss({pc, pr}, {rc, rr}, {.beta = beta});   // [P] each; beta from a Schedule
///     out.loss.backward();
///
/// Your own objective is a template argument (see objective.hpp). Every call throws c10::Error for
/// a wrong shape, type, device or value, naming the tensor, what was expected and what it got.
/// Values on a GPU are checked by LossOutput::check() instead. Several threads may use one object.
template <PairObjective Objective = Sigmoid>
class Loss {
 public:
  explicit Loss(Objective objective = {}, LossOptions options = {})
      : objective_(objective), options_(options) {}

  /// Computes the loss from log-probabilities of responses. Gradients flow to the policy's.
  [[nodiscard]] LossOutput operator()(const LogProbs& policy, const LogProbs& reference,
                                      const Controls& controls) const {
    return detail::loss_of_log_probs(objective_, options_, policy, reference, controls);
  }

  /// Computes the loss from logits [2P, T, V] (with any outer strides) and labels int64 [2P, T], or
  /// from packed rows [R, V] and labels [R]. The label of a row is the token it predicts (see
  /// shift_for_causal_lm), or ignore_index for a row that does not count and is not read. Gradients
  /// flow to the logits.
  [[nodiscard]] LossOutput from_logits(const at::Tensor& logits, const at::Tensor& labels,
                                       const Reference& reference, const Controls& controls,
                                       const LogitsOptions& options = {}) const {
    return detail::loss_of_logits(objective_, options_,
                                  {logits, labels, reference, controls, options});
  }

  /// Computes the loss from hidden states [2P, T, H] or [R, H] and the head's weight [V, H] and
  /// bias ([V], or undefined), without ever holding the logits [R, V]. Forward computes the
  /// gradients, and backward scales them; only the reduced loss is differentiable, by hidden, head,
  /// beta and margin. If hidden is on a GPU, the labels may be there as well, and nothing waits for
  /// them; or on the CPU, and then masked rows are left out of the matrix products.
  [[nodiscard]] LossOutput from_hidden(const at::Tensor& hidden, const at::Tensor& head_weight,
                                       const at::Tensor& head_bias, const at::Tensor& labels,
                                       const Reference& reference, const Controls& controls,
                                       const HiddenOptions& options = {}) const {
    return detail::loss_of_hidden(
        objective_, options_,
        {hidden, head_weight, head_bias, labels, reference, controls, options});
  }

  /// Computes loss and gradient at once, without autograd.
  [[nodiscard]] LogProbsGradient value_and_grad(const LogProbs& policy, const LogProbs& reference,
                                                const Controls& controls) const {
    return detail::value_and_grad_of_log_probs(objective_, options_, policy, reference, controls);
  }

  /// Computes what from_logits and its backward do, pair by pair while a pair's rows are in the
  /// cache. With `unit`, in one pass over the logits: row r of the gradient is onehot − softmax,
  /// and must be multiplied by row_scale[r].
  [[nodiscard]] LogitsGradient value_and_grad_from_logits(
      const at::Tensor& logits, const at::Tensor& labels, const Reference& reference,
      const Controls& controls, const LogitsOptions& options = {}, bool unit = false) const {
    return detail::value_and_grad_of_logits(objective_, options_,
                                            {logits, labels, reference, controls, options}, unit);
  }

  /// Computes what from_hidden and its backward do. Without `need_dw` it leaves out the head's
  /// gradient and the third matrix product (for LoRA or a frozen head).
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

/// Returns the labels of a causal language model, from tokens [S, T] whose ignored ones are already
/// masked, shifted left by one: row t predicts token t + 1, and the last row is ignored. The logits
/// are not shifted.
[[nodiscard]] at::Tensor shift_for_causal_lm(const at::Tensor& labels,
                                             std::int64_t ignore_index = -100);

}  // namespace sp2dpo
