// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "dtypes.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/hidden_rows.hpp>
#include <sp2dpo/loss/logit_rows.hpp>

/// Tensors as the kernels see them: pointers with shapes and strides, borrowed.
namespace sp2dpo {

/// Throws c10::Error unless `tensor` is floating, not empty, and [S, T, C] or [R, C] with a dense
/// last dimension.
void check_rows_tensor(const char* name, const at::Tensor& tensor);

/// The layout of the rows of such a tensor.
RowLayout row_layout(const at::Tensor& tensor);

/// The shape of a tensor's rows: all dimensions but the last.
inline at::IntArrayRef row_shape(const at::Tensor& tensor) {
  return tensor.sizes().slice(0, static_cast<std::size_t>(tensor.dim() - 1));
}

/// Logits whose first `vocab_size` columns count. Throws c10::Error as check_rows_tensor does, and
/// for a vocab_size that the columns cannot hold.
LogitRows logit_rows(const char* name, const at::Tensor& logits,
                     const std::optional<std::int64_t>& vocab_size);

inline GradientRows gradient_rows(const at::Tensor& gradient) {
  return {gradient.data_ptr(), row_layout(gradient)};
}

/// A tensor [m, n] whose last dimension is dense.
template <class M = ConstMatrix>
M matrix_of(const at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.size(0), tensor.size(1), tensor.stride(0)};
}

/// Row `row` of a dense float64 tensor [n, P].
inline double* row_of(const at::Tensor& tensor, std::int64_t row) {
  return tensor.data_ptr<double>() + row * tensor.stride(0);
}

/// The data of a float64 tensor, or null where it is undefined.
inline double* data_of(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<double>() : nullptr;
}

}  // namespace sp2dpo
