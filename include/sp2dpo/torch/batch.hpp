// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <variant>

#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/pair_rows.hpp>

/// The inputs of a Loss, for a batch of P pairs.
namespace sp2dpo {

/// Log-probabilities of whole responses under one model, in nats: [P] each, of any floating type.
struct LogProbs {
  at::Tensor chosen;
  at::Tensor rejected;
  bool averaged = false;  ///< means over the responses' tokens instead of sums
};

/// One number per pair: a float32 or float64 tensor [P], or one number for all pairs. Any other
/// shape is an error, since nothing is broadcast.
struct PerPair {
  PerPair(double value) : number(value) {}  // NOLINT: implicit on purpose
  PerPair(at::Tensor values)                // NOLINT: implicit on purpose
      : tensor(std::move(values)), from_tensor(true) {}

  at::Tensor tensor;  ///< undefined if `number` stands for all pairs
  double number = NAN;
  bool from_tensor = false;  ///< made from a tensor; a call then refuses an undefined one
};

/// The numbers of each pair that are fixed before training: z = beta · delta − margin, and the
/// pair's weight in the sum. Gradients flow to `beta` and `margin` if these require them.
struct Controls {
  PerPair beta;          ///< finite, > 0
  PerPair margin = 0.0;  ///< in reward units; an offset m of the log-ratio is margin = beta · m
  PerPair weight = 1.0;  ///< finite, >= 0; a constant
};

/// Stands for no reference model: its log-probabilities count as 0.
struct NoReference {};

/// The reference model's logits, for the same rows, labels and vocabulary as the policy's. With
/// LogitsOptions::vocab_size the two may have different numbers of padding columns.
struct ReferenceLogits {
  at::Tensor logits;
};

/// The reference model's hidden states, for the same rows as the policy's, and its head: weight
/// [V, H], and bias [V] or undefined. H may differ from the policy's; V is the policy's, apart from
/// padding beyond vocab_size.
struct ReferenceHidden {
  at::Tensor hidden;
  at::Tensor head_weight;
  at::Tensor head_bias{};
};

/// The reference, which never gets a gradient.
using Reference = std::variant<NoReference, LogProbs, ReferenceLogits, ReferenceHidden>;

/// The assignment of sequences to pairs. By default the batch is [2P, T], with the chosen responses
/// in its first half and the rejected ones in its second, in the same order.
struct PairLayout {
  Sequences::Layout order = Sequences::Layout::halves;
  at::Tensor chosen{};    ///< with listed: int64 [P], the chosen sequences
  at::Tensor rejected{};  ///< with listed: int64 [P], the rejected sequences
  at::Tensor
      cu_seqlens{};  ///< int64 or int32 [sequences + 1]: bounds of sequences packed as rows [R]
};

}  // namespace sp2dpo
