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

/// The data that a LossOutput keeps of its pairs.
struct PairRecord {
  at::Tensor columns{};  ///< float64 [8, P]: see src/torch/output_columns.hpp
  LogProbs policy{};     ///< as given, or as computed from the rows
  Controls controls{0.0};
  at::ScalarType dtype = at::kFloat;  ///< of what is returned
  at::Tensor counted{};               ///< bool [P] on the CPU; undefined if all pairs count
  at::Tensor nll{};                   ///< one number, or undefined
  at::Tensor bad_row{};               ///< on a device: the first row with an invalid label, or −1
  std::optional<std::array<double, 2>>
      logits_mean{};  ///< of the chosen and of the rejected responses
};

}  // namespace detail

/// The loss of a batch and the numbers behind it. Everything except `loss` is detached. Several
/// threads may read one object.
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

  /// Returns the number of pairs that count: all except those that EmptyRows::skip left out.
  [[nodiscard]] std::int64_t valid_pairs() const;

  /// Returns means over the pairs that count, under TRL's names: rewards/chosen, rewards/rejected,
  /// rewards/accuracies, rewards/margins, logps/chosen, logps/rejected; if requested,
  /// logits/chosen, logits/rejected (over the responses' own tokens) and nll_loss. Also beta/mean,
  /// beta/min, beta/max, logratios/margin and loss/saturated_frac (the share of pairs with
  /// sigmoid(−z) < 0.05). Empty if no pair counts. Reads beta and margin, and from
  /// log-probabilities also these, from the tensors of the call: call it before they are used for
  /// another batch. Waits for the device if the tensors are on one.
  [[nodiscard]] std::map<std::string, double> metrics() const;

  /// Throws c10::Error for a beta, margin, weight or label on a device that is out of range. Such a
  /// pair's loss is NaN, since the call itself does not wait for the device. This one does.
  void check() const;

 private:
  detail::PairRecord record_;
};

}  // namespace sp2dpo
