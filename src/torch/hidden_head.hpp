// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "sequences.hpp"
#include "views.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/hidden_rows.hpp>

namespace sp2dpo {

/// Checked hidden states [R, H] and head of one element type, without autograd.
struct HiddenHead {
  /// Throws c10::Error for tensors that do not fit together. `precise` asks for float32 at least.
  HiddenHead(const char* name, const at::Tensor& given_hidden, const at::Tensor& head_weight,
             const at::Tensor& head_bias, const std::optional<std::int64_t>& vocab_size,
             bool precise);

  /// The rows of these pairs, without gradients; they point into this object.
  [[nodiscard]] HiddenRows rows(const LabelledPairs& pairs);

  at::Tensor hidden, head, bias;  ///< [R, H], [V, H], [V] or undefined
  at::Tensor labels;              ///< on the device of the others
};

/// Throws c10::Error unless the hidden states of a reference have the rows of the policy's.
void check_reference_rows(const at::Tensor& reference, const at::Tensor& policy);

/// Throws c10::Error for a number of bytes that is not positive.
void check_workspace_bytes(const std::optional<std::int64_t>& bytes);

}  // namespace sp2dpo
