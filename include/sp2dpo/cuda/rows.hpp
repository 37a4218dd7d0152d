// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <sp2dpo/cuda/row_memory.hpp>
#include <sp2dpo/cuda/sequence_rows.hpp>
#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/logit_rows.hpp>
#include <sp2dpo/loss/pair_loss.hpp>

/// The row kernels of sp2dpo::cpu on the device, for float16, bfloat16 and float32 logits. Every
/// pointer is to device memory that the caller owns, including a selection's list. Calls return at
/// once: they allocate and synchronise nothing, use the current device, can be captured in a graph,
/// and give bit-identical results on every run.
///
/// Threads and warps sum in float; everything computed from a row's sums is in double. Logits lie
/// in ±1e9, with the rules of sp2dpo::cpu for those beyond.
///
/// Each call throws InvalidArgument for errors that are visible without reading device memory, and
/// CudaError if a launch fails. A label outside [0, vocab) that is not `ignored` makes its row's
/// statistics NaN, and is reported through RowMemory::bad_row. The row numbers in a selection's
/// list are not checked.
namespace sp2dpo::cuda {

/// Returns the bytes of workspace that each call needs for `rows` selected rows: 0 if these alone
/// keep a GPU busy.
[[nodiscard]] std::size_t row_workspace(const LogitRows& logits, std::int64_t rows);

/// Does what cpu::row_log_probs does. One launch, or two for few long rows, which several blocks
/// share.
void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                   const RowStatistics& out, const RowMemory& memory, Stream stream);

/// Does what cpu::row_gradient does, in one launch, or two for few long rows. It starts with the
/// last row, which a pass over the logits just before has left in the cache.
void row_gradient(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                  const double* lse_others, const double* coefficient, const GradientRows& out,
                  MaskedRows masked, const RowMemory& memory, Stream stream);

/// Does what cpu::row_log_probs_and_gradient does; requires `out.lse_others`. With compute
/// capability 9.0 or later, a cluster of up to eight blocks reads the logits once and holds a row
/// of up to 262144 16-bit or 131072 32-bit logits in registers. For longer rows, on older devices,
/// and for a gradient out of place that is not aligned like the logits, it makes the two calls
/// above.
void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowSelection& selection, const RowStatistics& out,
                                const double* coefficient, const GradientRows& gradient,
                                MaskedRows masked, const RowMemory& memory, Stream stream);

/// Computes the sequences' log-probabilities from those of their rows, which are by row number, as
/// sums in double in a fixed order. An empty sequence has 0 or, unless `empty_allowed`, NaN.
void sequence_log_probs(const SequenceRows& batch, const double* row_log_prob, bool empty_allowed,
                        const SequenceSums& out, Stream stream);

/// Computes the coefficients that the gradient pass reads: for each row of a sequence of pair i,
/// upstream[i] · d[i], divided by the number of rows with `average`, minus nll_scale · upstream[i]
/// for chosen sequences; 0 for masked rows. Rows of no sequence keep what they hold. `sums` is what
/// sequence_log_probs wrote.
void row_coefficients(const SequenceRows& batch, const SequenceSums& sums,
                      const PairValues& d_chosen, const PairValues& d_rejected,
                      const PairValues& upstream, double nll_scale, double* coefficient,
                      Stream stream);

}  // namespace sp2dpo::cuda
