// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace sp2dpo::benchmarks {

/// A case to measure: the level of the loss and the sizes of its input.
struct Shape {
  int level = 2;
  at::ScalarType dtype = at::kFloat;
  std::int64_t pairs = 1;
  std::int64_t rows = 0;    ///< tokens, masked ones included; 0 at level 1
  std::int64_t vocab = 0;   ///< 0 at level 1
  std::int64_t hidden = 0;  ///< 0 except at level 3
  int mask_percent = 0;     ///< of each sequence's tokens, from its start, like a prompt
};

std::string name_of(at::ScalarType dtype);

/// Bytes of one [rows, vocab] tensor, or of the pairs' log-probabilities.
std::int64_t logits_bytes(const Shape& shape);

/// Inputs of a shape, the same in every process. Those of the loss's level require gradients.
struct Batch {
  explicit Batch(const Shape& shape);

  Shape shape;
  at::Tensor policy_chosen, policy_rejected;        // [P], level 1
  at::Tensor reference_chosen, reference_rejected;  // [P]
  at::Tensor beta;                                  // [P]
  at::Tensor labels;                                // [2P, T]
  at::Tensor logits;                                // [2P, T, V], level 2
  at::Tensor hidden, head;                          // [2P, T, H] and [V, H], level 3
};

}  // namespace sp2dpo::benchmarks
