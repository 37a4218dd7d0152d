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

/// The rows of PairRecord::rows: pair_loss's outputs.
enum Row : std::int64_t {
  loss_row,
  chosen_reward_row,
  rejected_reward_row,
  delta_row,
  d_chosen_row,
  d_rejected_row,
  d_beta_row,
  d_margin_row,
  row_count
};
inline constexpr Row first_gradient = d_chosen_row;
inline constexpr std::int64_t gradient_count = row_count - first_gradient;

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

/// A float64 tensor [row_count, pairs], and the outputs of pair_loss that write its rows.
struct PairTable {
  PairTable(std::int64_t pairs, const at::Device& device);

  [[nodiscard]] PairValues values(Row row) const;

  at::Tensor rows;
  PairOutputs outputs;
};

/// The part of a record that is made of what the caller gave.
detail::PairRecord record_of(at::Tensor rows, const LogProbs& policy, const Controls& controls,
                             at::ScalarType dtype);

/// What a loss of these tensors is handed out in: float64 where one of them is, else float32.
inline at::ScalarType loss_type(std::initializer_list<at::Tensor> tensors) {
  for (const auto& tensor : tensors)
    if (tensor.scalar_type() == at::kDouble) return at::kDouble;
  return at::kFloat;
}

/// The loss on the CPU as it is handed out: the reduced one, which is `total`, or the pairs' own.
at::Tensor reduced(const LossOptions& options, const at::Tensor& rows, double total,
                   at::ScalarType dtype);

}  // namespace sp2dpo
