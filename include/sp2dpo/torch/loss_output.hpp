// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <ATen/core/Tensor.h>

#include <sp2dpo/torch/batch.hpp>

namespace sp2dpo {
namespace detail {

/// What a loss keeps of its pairs.
struct PairRecord {
  at::Tensor columns{};  ///< float64 [8, P]: see OutputColumn in src/torch/pairs.hpp
  LogProbs policy{};     ///< as given, or as made from the rows
  Controls controls{0.0};
  at::ScalarType dtype = at::kFloat;  ///< of what is handed out
  at::Tensor counted{};               ///< bool [P] on the CPU, or undefined where all pairs count
  at::Tensor nll{};                   ///< one number, or undefined
  at::Tensor bad_row{};  ///< on a device: the first row with a bad label, or −1; else undefined
  std::optional<std::array<double, 2>>
      logits_mean{};  ///< of the chosen and of the rejected answers
};

}  // namespace detail

/// The loss of a batch and what it was made of. All but `loss` is detached: it carries no gradient.
class LossOutput {
 public:
  LossOutput(at::Tensor value, detail::PairRecord record)
      : loss(std::move(value)), record_(std::move(record)) {}

  at::Tensor
      loss;  ///< a scalar, or [P] with Reduction::none; float32, or float64 for float64 input

  [[nodiscard]] at::Tensor losses() const;            ///< [P]: weight · value, unreduced
  [[nodiscard]] at::Tensor chosen_logps() const;      ///< [P]: the policy's
  [[nodiscard]] at::Tensor rejected_logps() const;    ///< [P]
  [[nodiscard]] at::Tensor chosen_rewards() const;    ///< [P]: beta_i · (policy − reference)
  [[nodiscard]] at::Tensor rejected_rewards() const;  ///< [P]
  [[nodiscard]] at::Tensor log_ratios() const;        ///< [P]: delta, the margin without beta

  /// Pairs that count: all, but for those that EmptyRows::skip left out.
  [[nodiscard]] std::int64_t valid_pairs() const;

  /// Means over the pairs that count, under TRL's names: rewards/chosen, rewards/rejected,
  /// rewards/accuracies, rewards/margins, logps/chosen, logps/rejected; where they were asked for
  /// logits/chosen, logits/rejected (over the answers' own tokens) and nll_loss; and beta/mean,
  /// beta/min, beta/max, logratios/margin, loss/saturated_frac (the share of pairs with
  /// sigmoid(−z) < 0.05). Waits for the device where the tensors are on one.
  [[nodiscard]] std::map<std::string, double> metrics() const;

  /// Throws c10::Error for a beta, margin, weight or label that is out of range on a device, where
  /// looking beforehand would have meant waiting: such a pair's loss is NaN. Waits for the device.
  void check() const;

 private:
  detail::PairRecord record_;
};

}  // namespace sp2dpo
