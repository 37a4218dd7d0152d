// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <sp2dpo/cuda/row_memory.hpp>
#include <sp2dpo/cuda/sequence_rows.hpp>
#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/logit_rows.hpp>
#include <sp2dpo/loss/pair_loss.hpp>

/// The row kernels of sp2dpo::cpu on the device: the same words and the same numbers, for float16,
/// bfloat16 and float32 logits. Every pointer is one of device memory that the caller owns, a
/// selection's list too. Calls return at once; they allocate and synchronise nothing, use the
/// current device, can be captured in a graph, and give the same bits on every run.
///
/// Sums are made in float by thread and warp, everything that becomes of a row's sums in double.
/// Logits above 2e38 count as +inf.
///
/// Each call throws InvalidArgument for what can be seen without looking at device memory, and
/// CudaError where a launch fails. A label outside [0, vocab) that is not `ignored` makes its row's
/// statistics NaN, and is reported through RowMemory::bad_row. The row numbers of a selection's
/// list are taken on trust.
namespace sp2dpo::cuda {

/// Bytes of workspace that each of the calls wants for so many selected rows: none where these
/// alone keep a GPU busy.
[[nodiscard]] std::size_t row_workspace(const LogitRows& logits, std::int64_t rows);

/// As cpu::row_log_probs. One launch; two for few rows of many logits, which several blocks share.
void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                   const RowStatistics& out, const RowMemory& memory, Stream stream);

/// As cpu::row_gradient. One launch, the last row first: what a pass over the logits just before
/// left in the cache is read from there. Two for few rows of many logits.
void row_gradient(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                  const double* lse_others, const double* coefficient, const GradientRows& out,
                  MaskedRows masked, const RowMemory& memory, Stream stream);

/// As cpu::row_log_probs_and_gradient; `out.lse_others` must be there. Reads the logits once where
/// compute capability 9.0 or later and the row's size allow: a cluster of up to eight blocks holds
/// a row of up to 262144 16-bit or 131072 32-bit logits in registers. Elsewhere, and where a
/// gradient out of place is not aligned as the logits are, the two calls above are made.
void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowSelection& selection, const RowStatistics& out,
                                const double* coefficient, const GradientRows& gradient,
                                MaskedRows masked, const RowMemory& memory, Stream stream);

/// The answers' log-probabilities from those of their rows, which are by row number: sums in double
/// in a fixed order. An answer without rows has 0 or, unless `empty_allowed`, NaN.
void sequence_log_probs(const SequenceRows& batch, const double* row_log_prob, bool empty_allowed,
                        const SequenceSums& out, Stream stream);

/// What the gradient pass takes: upstream[i] · d[i], over the number of rows where `average`, for
/// each row of an answer of pair i, and 0 for masked ones; chosen rows have nll_scale · upstream[i]
/// taken off. Rows of no answer are left as they are. `sums` is what sequence_log_probs wrote.
void row_coefficients(const SequenceRows& batch, const SequenceSums& sums,
                      const PairValues& d_chosen, const PairValues& d_rejected,
                      const PairValues& upstream, double nll_scale, double* coefficient,
                      Stream stream);

}  // namespace sp2dpo::cuda
