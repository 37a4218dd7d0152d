// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "backend.hpp"
#include "sequences.hpp"
#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// The options that a reference's logits or hidden states are read with.
struct ReferenceOptions {
  bool average = false;      ///< whether log-probabilities are means over tokens
  std::int64_t columns = 0;  ///< the policy's vocabulary with its padding
  std::optional<std::int64_t> vocab_size{};
  std::optional<std::int64_t> workspace_bytes{};
  bool precise = false;  ///< matrix products in float32 at least
};

/// The reference's log-probabilities of the sequences, float64 [2, P]; undefined without a
/// reference. Its logits or hidden states are those of the rows of `policy`.
at::Tensor reference_log_probs(const Backend& backend, const Reference& reference,
                               const at::Tensor& policy, const LabelledPairs& pairs,
                               const ReferenceOptions& options);

}  // namespace sp2dpo
