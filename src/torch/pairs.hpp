// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>

#include "controls.hpp"
#include "output_columns.hpp"
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <sp2dpo/loss/pair_loss.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {

inline bool asks_for_gradient(const at::Tensor& tensor) {
  return c10::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
}

/// Returns nullopt for an undefined tensor, which autograd does not accept as an input.
inline c10::optional<at::Tensor> given(const at::Tensor& tensor) {
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
}

/// Throws c10::Error for an objective that does not support the options or controls.
void check_objective(const AnyObjective& objective, const LossOptions& options,
                     const Controls& controls);

/// Returns the number that the sum of the losses is divided by.
double divisor(const LossOptions& options, std::int64_t valid_pairs);

/// A float64 tensor [column_count, pairs], and the outputs of pair_loss that write its columns.
struct PairTable {
  PairTable(std::int64_t pairs, const at::Device& device);

  [[nodiscard]] double* data(OutputColumn column) const {
    return static_cast<double*>(columns.data_ptr()) + column * columns.size(1);
  }

  at::Tensor columns;
  PairOutputs outputs;
};

/// Returns a record with what the caller gave.
detail::PairRecord record_of(at::Tensor columns, const LogProbs& policy, const Controls& controls,
                             at::ScalarType dtype);

/// Returns the type of a loss of these tensors: float64 if one of them is, else float32.
inline at::ScalarType loss_type(std::initializer_list<at::Tensor> tensors) {
  for (const auto& tensor : tensors)
    if (tensor.scalar_type() == at::kDouble) return at::kDouble;
  return at::kFloat;
}

/// Returns the loss in the type of `total`: `total` itself if it is reduced, else the pairs'
/// losses.
at::Tensor reduced(const LossOptions& options, const at::Tensor& columns, const at::Tensor& total);

}  // namespace sp2dpo
