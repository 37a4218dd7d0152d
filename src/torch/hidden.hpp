// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "sequences.hpp"
#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// Log-probabilities of the answers under a reference given as hidden states: float64 [2, P]. The
/// rows are those of `policy`.
at::Tensor hidden_answers(const ReferenceHidden& reference, const at::Tensor& policy,
                          const LabelledPairs& pairs, bool average,
                          const std::optional<std::int64_t>& vocab_size,
                          std::int64_t workspace_bytes);

}  // namespace sp2dpo
