// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>

#include "dtypes.hpp"
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <sp2dpo/loss/pair_loss.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {

/// The columns of PairRecord::columns, one number a pair each: what pair_loss writes.
enum OutputColumn : std::int64_t {
  loss_column,
  chosen_reward_column,
  rejected_reward_column,
  delta_column,
  d_chosen_column,
  d_rejected_column,
  d_beta_column,
  d_margin_column,
  column_count
};
inline constexpr OutputColumn first_gradient = d_chosen_column;
inline constexpr std::int64_t gradient_count = column_count - first_gradient;

inline PairValues values_of(const at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.stride(0)};
}

inline PairValues values_of(const PerPair& control) {
  return control.tensor.defined() ? values_of(control.tensor) : PairValues(control.number);
}

inline PairSink sink_of(const at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.stride(0)};
}

inline bool asks_for_gradient(const at::Tensor& tensor) {
  return c10::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
}

/// What autograd can take: it knows no undefined tensor among a function's inputs.
inline c10::optional<at::Tensor> given(const at::Tensor& tensor) {
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
}

/// Throws c10::Error unless `tensor` is a floating [P] on the device of `first`, of its shape.
void check_log_probs(const char* name, const at::Tensor& tensor, const at::Tensor& first);

/// Throws c10::Error unless each control is a number or a tensor of shape [pairs] on `device` whose
/// values are in range; values on a device other than the CPU are left to LossOutput::check.
void check_controls(const Controls& controls, std::int64_t pairs, const at::Device& device);

/// Throws c10::Error for an objective that cannot do what the options or controls ask.
void check_objective(const AnyObjective& objective, const LossOptions& options,
                     const Controls& controls);

/// What the sum of the losses is divided by.
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

/// The part of a record that consists of what the caller gave.
detail::PairRecord record_of(at::Tensor columns, const LogProbs& policy, const Controls& controls,
                             at::ScalarType dtype);

/// What a loss of these tensors is returned in: float64 if one of them is, else float32.
inline at::ScalarType loss_type(std::initializer_list<at::Tensor> tensors) {
  for (const auto& tensor : tensors)
    if (tensor.scalar_type() == at::kDouble) return at::kDouble;
  return at::kFloat;
}

/// The loss as it is returned, in the type of `total`: the reduced one, which is `total`, or the
/// pairs' own.
at::Tensor reduced(const LossOptions& options, const at::Tensor& columns, const at::Tensor& total);

}  // namespace sp2dpo
