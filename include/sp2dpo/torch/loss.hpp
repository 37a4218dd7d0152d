// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <ATen/core/Tensor.h>

#include <sp2dpo/any_objective.hpp>

namespace sp2dpo {

/// Log-probabilities of whole answers under one model, in nats: [P] each, of any floating type.
struct LogProbs {
  at::Tensor chosen;
  at::Tensor rejected;
};

/// One number a pair: a float32 or float64 tensor [P], or one number for all pairs. Any other shape is
/// an error: nothing is broadcast.
struct PerPair {
  PerPair(double value) : number(value) {}                   // NOLINT: a number is one
  PerPair(at::Tensor values) : tensor(std::move(values)) {}  // NOLINT: so is a tensor

  at::Tensor tensor;  ///< undefined where `number` stands for all pairs
  double number = 0;
};

/// What is fixed for each pair before training: z = beta · delta − margin, and the pair's share in the
/// sum. Gradients flow to `beta` and `margin` where these ask for them.
struct Controls {
  PerPair beta;          ///< finite, > 0
  PerPair margin = 0.0;  ///< in reward units; an offset m of the log-ratio is margin = beta · m
  PerPair weight = 1.0;  ///< finite, >= 0; a constant
};

enum class Reduction : std::uint8_t { none, mean, sum };

struct LossOptions {
  /// mean: Σ weight_i · loss_i / normalizer.
  Reduction reduction = Reduction::mean;
  /// Replaces the number of pairs as the mean's divisor: the number of pairs of all ranks and
  /// accumulation steps, for a sum of such losses to be the mean over all of them.
  std::optional<double> normalizer{};
};

namespace detail {

/// What a loss keeps of its pairs.
struct PairRecord {
  at::Tensor
      rows;  ///< [kept, P]: a row each of loss, rewards and delta, in the order of src/torch/loss.cpp
  LogProbs policy;
  PerPair beta;
  PerPair margin;
};

}  // namespace detail

/// The loss of a batch and what it was made of. All but `loss` is detached.
class LossOutput {
 public:
  LossOutput(at::Tensor value, detail::PairRecord record)
      : loss(std::move(value)), record_(std::move(record)) {}

  at::Tensor
      loss;  ///< a scalar, or [P] with Reduction::none; float32, or float64 for float64 input

  [[nodiscard]] at::Tensor losses() const;            ///< [P]: weight · value, unreduced
  [[nodiscard]] at::Tensor chosen_logps() const;      ///< [P]: the policy's, as given
  [[nodiscard]] at::Tensor rejected_logps() const;    ///< [P]
  [[nodiscard]] at::Tensor chosen_rewards() const;    ///< [P]: beta_i · (policy − reference)
  [[nodiscard]] at::Tensor rejected_rewards() const;  ///< [P]
  [[nodiscard]] at::Tensor log_ratios() const;        ///< [P]: delta, the margin without beta

  /// Batch means under TRL's names (rewards/chosen, rewards/rejected, rewards/accuracies,
  /// rewards/margins, logps/chosen, logps/rejected), and beta/mean, beta/min, beta/max,
  /// logratios/margin, loss/saturated_frac (the share of pairs with sigmoid(−z) < 0.05). Waits for the
  /// device where the tensors are on one.
  [[nodiscard]] std::map<std::string, double> metrics() const;

 private:
  detail::PairRecord record_;
};

namespace detail {

/// Loss<Objective>::operator() for every objective.
LossOutput loss_of_log_probs(const AnyObjective& objective, const LossOptions& options,
                             const LogProbs& policy, const LogProbs& reference,
                             const Controls& controls);

}  // namespace detail

/// DPO's loss with a beta for each pair: one fused pass gives loss and gradient.
///
///     sp2dpo::Loss<> loss;
///     auto out = loss({pc, pr}, {rc, rr}, {.beta = beta});   // [P] each; beta from a Schedule
///     out.loss.backward();
///
/// An objective of one's own is a template argument (see objective.hpp). Throws c10::Error, naming the
/// tensor, what was expected and what came, for a shape, type, device or value that is wrong.
template <PairObjective Objective = Sigmoid>
class Loss {
 public:
  explicit Loss(Objective objective = {}, LossOptions options = {})
      : objective_(objective), options_(options) {}

  /// The loss of sequence log-probabilities. Gradients flow to the policy; the reference is constant.
  [[nodiscard]] LossOutput operator()(const LogProbs& policy, const LogProbs& reference,
                                      const Controls& controls) const {
    return detail::loss_of_log_probs(objective_, options_, policy, reference, controls);
  }

 private:
  Objective objective_;
  LossOptions options_;
};

}  // namespace sp2dpo
