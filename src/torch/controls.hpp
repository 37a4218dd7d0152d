// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dtypes.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/pair_values.hpp>
#include <sp2dpo/torch/batch.hpp>

namespace sp2dpo {

inline PairValues values_of(const at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.stride(0)};
}

inline PairValues values_of(const PerPair& control) {
  return control.tensor.defined() ? values_of(control.tensor) : PairValues(control.number);
}

inline PairSink sink_of(const at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.stride(0)};
}

/// Throws c10::Error for a tensor whose memory does not hold its values: a sparse one, or a lazy
/// negative or zero of libtorch's.
void check_readable(const char* name, const at::Tensor& tensor);

/// Throws c10::Error unless `tensor` is a floating [P] on the device of `first`, of its shape.
void check_log_probs(const char* name, const at::Tensor& tensor, const at::Tensor& first);

/// Throws c10::Error unless each control is a number or a tensor [pairs] on `device` with values in
/// range. Values on a device other than the CPU are left to LossOutput::check.
void check_controls(const Controls& controls, std::int64_t pairs, const at::Device& device);

}  // namespace sp2dpo
