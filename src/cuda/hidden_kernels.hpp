// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/hidden_rows.hpp>

/// The launches behind hidden_loss beside those of the row kernels.
namespace sp2dpo::cuda::launch {

/// out[to[i]] = in[from[i]] for `rows` rows; a null list stands for i itself. A stride of 0 in `in`
/// repeats one row.
void copy_rows(const ConstMatrix& in, const std::int64_t* from, const Matrix& out,
               const std::int64_t* to, std::int64_t rows, Stream stream);

/// out[i] = label[rows[i]].
void gather_labels(const std::int64_t* label, const std::int64_t* rows, std::int64_t count,
                   std::int64_t* out, Stream stream);

/// out[i] = hidden[i] · head[label[i]] + bias[label[i]], in float by thread and in double across
/// them; NaN where label[i] is no row of the head.
void label_logits(const ConstMatrix& hidden, const ConstMatrix& head, const void* bias,
                  const std::int64_t* label, double* out, Stream stream);

/// sum[j] = Σ_i matrix[i, j] in the order of the rows, or that added to it.
void column_sums(const ConstMatrix& matrix, float* sum, bool add, Stream stream);

void zero(void* memory, std::size_t bytes, Stream stream);

}  // namespace sp2dpo::cuda::launch
