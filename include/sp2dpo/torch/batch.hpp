// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <variant>

#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/pair_rows.hpp>

/// What a Loss is given of a batch of P pairs.
namespace sp2dpo {

/// Log-probabilities of whole answers under one model, in nats: [P] each, of any floating type.
struct LogProbs {
  at::Tensor chosen;
  at::Tensor rejected;
  bool averaged = false;  ///< means over the answers' tokens instead of sums
};

/// One number a pair: a float32 or float64 tensor [P], or one number for all pairs. Any other shape
/// is an error: nothing is broadcast.
struct PerPair {
  PerPair(double value) : number(value) {}                   // NOLINT: a number is one
  PerPair(at::Tensor values) : tensor(std::move(values)) {}  // NOLINT: so is a tensor

  at::Tensor tensor;  ///< undefined where `number` stands for all pairs
  double number = 0;
};

/// What is fixed for each pair before training: z = beta · delta − margin, and the pair's share in
/// the sum. Gradients flow to `beta` and `margin` where these ask for them.
struct Controls {
  PerPair beta;          ///< finite, > 0
  PerPair margin = 0.0;  ///< in reward units; an offset m of the log-ratio is margin = beta · m
  PerPair weight = 1.0;  ///< finite, >= 0; a constant
};

/// No reference model: its log-probabilities count as 0.
struct NoReference {};

/// The reference model's logits, of the shape and for the labels of the policy's.
struct ReferenceLogits {
  at::Tensor logits;
};

/// The reference model's hidden states, of the policy's rows, and its head: weight [V, H], bias [V]
/// or undefined. The widths may differ from the policy's.
struct ReferenceHidden {
  at::Tensor hidden;
  at::Tensor head_weight;
  at::Tensor head_bias{};
};

/// Always a constant: no gradient flows to it.
using Reference = std::variant<NoReference, LogProbs, ReferenceLogits, ReferenceHidden>;

/// Which sequences of a batch answer which pair. By default the batch is [2P, T], the chosen
/// answers in its first half and the rejected ones in its second, in the same order.
struct PairLayout {
  Sequences::Layout order = Sequences::Layout::halves;
  at::Tensor chosen{};    ///< listed: int64 [P], the sequences that are chosen answers
  at::Tensor rejected{};  ///< listed: int64 [P], those that are rejected ones
  at::Tensor
      cu_seqlens{};  ///< int64 or int32 [sequences + 1]: bounds of sequences packed as rows [R]
};

}  // namespace sp2dpo
