// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/cuda/sequence_rows.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>

namespace sp2dpo::cuda {

/// The lists of PairRows, in device memory.
struct PairRowLists {
  const std::int64_t* rows = nullptr;    ///< PairRows::rows()
  const std::int64_t* bounds = nullptr;  ///< PairRows::bounds()
  /// Allows a sequence without rows that count; its log-probability is then 0. Otherwise it
  /// is NaN, for a caller that has not seen the labels and could not refuse them.
  bool empty_allowed = true;
};

/// The arrays that hidden_loss writes by pair, in device memory.
struct HiddenOutputs {
  SequenceSums sums;             ///< [P] each
  double* d_chosen = nullptr;    ///< [P], where loss.outputs.d_policy_chosen writes
  double* d_rejected = nullptr;  ///< [P]
};

/// How a pair of more rows than a chunk is taken. It goes through in parts, and the scale of its
/// gradient is known only after the last one.
enum class LongPairs : std::uint8_t {
  /// Its logits are made twice, for the log-probabilities and for the gradient, which costs a
  /// fourth matrix product.
  recompute,
  /// Its logits are made once and become gradients without their scale. Those by head and bias are
  /// summed in the workspace in float32, 4·V·(H + 1) bytes: in one sum, with the rejected
  /// sequence's sign reversed, where the slopes of chosen and rejected are opposite (a function of
  /// z, no nll_scale); else in a sum for each. Those by hidden states wait in d_hidden, and so are
  /// rounded to its type once more. They are at most 2 · max |head|, which float16 holds; for a
  /// mean over rows of which most are masked and still listed, that divided by the share of the
  /// others.
  by_side
};

/// The input of hidden_loss and hidden_log_probs. Matrices and lists are in device memory.
struct HiddenJob {
  HiddenRows rows{};     ///< d_hidden, d_head and d_bias are dense
  PairRowLists lists{};  ///< rows whose label is ignored are multiplied like the others
  std::int64_t chunk_rows = 0;
  /// Null, or hidden states [R, H] of a reference with the same head and bias (a policy without its
  /// adapter, LoRA): their logits come from the same products, and loss.inputs' reference is not
  /// read.
  ConstMatrix reference{};
  LongPairs long_pairs = LongPairs::recompute;
};

}  // namespace sp2dpo::cuda
