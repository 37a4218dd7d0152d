// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "sequences.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/rows.hpp>

namespace sp2dpo {

/// A tensor of logits as the row kernels take it. Throws c10::Error where it is none.
LogitRows logit_rows(const char* name, const at::Tensor& logits,
                     const std::optional<std::int64_t>& vocab_size);

/// Log-probabilities of the answers under a reference given as logits: float64 [2, P]. The rows are
/// those of `policy`.
at::Tensor logits_answers(const ReferenceLogits& reference, const at::Tensor& policy,
                          const LabelledPairs& pairs, bool average,
                          const std::optional<std::int64_t>& vocab_size);

}  // namespace sp2dpo
