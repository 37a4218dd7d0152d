// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/cpu/executor.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>

/// The matrix kernels of a loss from hidden states, next to the caller's matrix products.
namespace sp2dpo::cpu {

/// Sets out[r] = hidden[r] · head[label[r]] + bias[label[r]] for each selected row whose label is
/// not ignored: the label's logit without the rounding of stored logits, for RowLabels::logit.
/// Products of 16- and 32-bit elements are summed in float within blocks and in double across them.
/// `bias` is null or has the head's rows and element type. Throws InvalidArgument as row_log_probs
/// does, and if hidden and head differ in columns or element type.
void label_logits(const ConstMatrix& hidden, const ConstMatrix& head, const void* bias,
                  const RowLabels& labels, const RowSelection& selection, double* out,
                  const Executor& executor = {});

/// Adds scale · addend to `sum`, element by element, for a gradient that is summed over chunks and
/// rounded once. Throws InvalidArgument unless `sum` has the addend's shape and is float32, or
/// float64 for a float64 addend.
void accumulate(const Matrix& sum, const ConstMatrix& addend, double scale = 1,
                const Executor& executor = {});

/// Sets out[i] = in[rows[i]] for each i in [0, out.rows), which brings unmasked rows together.
/// Throws InvalidArgument for a row outside `in`, and if the two differ in columns or element type.
void gather_rows(const ConstMatrix& in, const std::int64_t* rows, const Matrix& out,
                 const Executor& executor = {});

/// Sets out[rows[i]] = in[i] for each i in [0, in.rows); other rows of `out` keep what they hold.
/// The row numbers must be distinct. Throws as gather_rows does.
void scatter_rows(const ConstMatrix& in, const std::int64_t* rows, const Matrix& out,
                  const Executor& executor = {});

}  // namespace sp2dpo::cpu
