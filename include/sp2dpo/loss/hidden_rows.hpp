// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/loss/logit_rows.hpp>

namespace sp2dpo {

/// A borrowed matrix [rows, columns]. The elements of a row are contiguous, and rows are `stride`
/// elements apart.
template <class Void>
struct BasicMatrix {
  Void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;
};
/// A matrix that a call may write.
using Matrix = BasicMatrix<void>;
/// A matrix that a call only reads.
using ConstMatrix = BasicMatrix<const void>;

/// The same matrix for reading only.
[[nodiscard]] inline ConstMatrix as_const(const Matrix& m) {
  return {m.data, m.dtype, m.rows, m.columns, m.stride};
}

/// Hidden states [R, H] of rows with labels, the head that turns them into logits, and where the
/// gradients go. A gradient whose data is null is not computed.
struct HiddenRows {
  ConstMatrix hidden;
  ConstMatrix head;            ///< [V, H], of hidden's element type
  const void* bias = nullptr;  ///< [V], of the same element type, or null
  RowLabels labels;
  /// [R, H], of the same element type or, on the host, float32; rows of no sequence become zero
  Matrix d_hidden{};
  Matrix d_head{};  ///< [V, H], float32 or, for float64, float64
  Matrix d_bias{};  ///< [1, V], float32 or, for float64, float64
  /// Adds the gradient to what d_head and d_bias hold, instead of overwriting it. When overwriting,
  /// d_head may have hidden's element type if one chunk holds all rows.
  bool add = true;
};

}  // namespace sp2dpo
