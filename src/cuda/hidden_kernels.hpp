// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>
#include <sp2dpo/loss/pair_loss.hpp>

/// The launches of hidden_loss, apart from those of the row kernels.
namespace sp2dpo::cuda::launch {

/// Sets out[to[i]] = in[from[i]] for `rows` rows; a null list stands for i itself. A stride of 0 in
/// `in` repeats one row.
void copy_rows(const ConstMatrix& in, const std::int64_t* from, const Matrix& out,
               const std::int64_t* to, std::int64_t rows, Stream stream);

/// Sets out[i] = label[rows[i]]. Lowers `bad_row`, unless null, to the lowest of these rows whose
/// label lies outside [0, vocab) and is not ignored.
void gather_labels(const RowLabels& labels, std::int64_t vocab, const std::int64_t* rows,
                   std::int64_t count, std::int64_t* out, std::uint64_t* bad_row, Stream stream);

/// Sets out[i] = hidden[i] · head[label[i]] + bias[label[i]], summed in float by each thread and in
/// double across threads; NaN if label[i] is ignored or outside the head.
void label_logits(const ConstMatrix& hidden, const ConstMatrix& head, const void* bias,
                  const RowLabels& labels, double* out, Stream stream);

/// Sets the rows of a dense matrix whose coefficient is 0 to zero: a product with a gradient of 0
/// would keep their NaN.
void drop_rows(const Matrix& matrix, const double* coefficient, Stream stream);

/// Multiplies row list[i] of `matrix` by factor[i], for `rows` rows; by 0 even where it is NaN.
void scale_rows(const Matrix& matrix, const std::int64_t* list, const double* factor,
                std::int64_t rows, Stream stream);

/// Sets out[j] to factor[0] · first[j] + factor[1] · second[j] for j < count, or adds that to it. A
/// null sum counts as zero, and so does one with the factor 0.
void add_scaled(const float* first, const float* second, const double* factor, float* out,
                std::int64_t count, bool add, Stream stream);

/// Sets sum[j] to Σ_i matrix[i, j] in the order of the rows, or adds that to it.
void column_sums(const ConstMatrix& matrix, float* sum, bool add, Stream stream);

/// Sets the outputs of pairs with an empty sequence to zero, and `counted` to 0 for them, to 1 for
/// others.
void skip_incomplete(const std::int64_t* chosen_row_counts, const std::int64_t* rejected_row_counts,
                     std::int64_t pairs, const PairOutputs& outputs, double* counted,
                     Stream stream);

void zero(void* memory, std::size_t bytes, Stream stream);

}  // namespace sp2dpo::cuda::launch
