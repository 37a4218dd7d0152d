// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "sequences.hpp"
#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// The reference's log-probabilities of the answers, float64 [2, P], summed or averaged as
/// `average` says, and undefined where there is no reference. Its logits or hidden states are those
/// of the rows of `policy`.
at::Tensor reference_answers(const Reference& reference, const at::Tensor& policy,
                             const LabelledPairs& pairs, bool average,
                             const std::optional<std::int64_t>& vocab_size,
                             const std::optional<std::int64_t>& workspace_bytes);

}  // namespace sp2dpo
