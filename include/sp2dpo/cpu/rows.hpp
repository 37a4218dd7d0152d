// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/cpu/executor.hpp>
#include <sp2dpo/loss/logit_rows.hpp>

/// Row kernels on the host, for the vector instructions that the processor has. They do not depend
/// on the objective: they return log-probabilities and take one coefficient per row. They read and
/// write memory that the caller owns, and allocate nothing.
///
/// With z the logits of a row, y its label and lse_others = log Σ_{j≠y} exp(z_j):
///
///     d = lse_others − z_y      log p_y = −softplus(d)      1 − p_y = σ(d)
///
/// so that nothing cancels as p_y approaches 1. 16- and 32-bit logits are reduced in float within
/// blocks of 2048 and in double across them, 64-bit ones in double. A logit of −inf has probability
/// 0: if it is the label's, the log-probability is −inf; if all others are −inf (or vocab is 1), it
/// is 0. NaN or +inf anywhere makes the row NaN.
///
/// Logits of any type may lie in ±1e9. A row whose largest logit is above is NaN, log-probability
/// and gradient alike. Logits below −1e9, such as the type's lowest number, count as masked: their
/// probability is 0, and a row of nothing else is NaN.
///
/// Each call throws InvalidArgument, before it writes, for null arrays, an invalid shape, a row
/// number outside the logits, and a label outside [0, vocab) that is not `ignored`, naming it and
/// its row.
namespace sp2dpo::cpu {

/// Throws as described above, for drivers that call the kernels from parallel work, which must not
/// throw.
void check_rows(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection);

/// Computes the log-probability of each selected row's label. Reads each row once.
void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                   const RowStatistics& out, const Executor& executor = {});

/// Computes the gradient coefficient[r] · (onehot(y) − p) of each selected row, where
/// coefficient[r] is the derivative of the loss by row r's log-probability. The label's element is
/// coefficient[r] · σ(d), rounded once. `lse_others` is what row_log_probs wrote; both arrays are
/// by row number. A row whose coefficient is 0 gets zeros and is not read.
void row_gradient(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                  const double* lse_others, const double* coefficient, const GradientRows& out,
                  MaskedRows masked = MaskedRows::zero, const Executor& executor = {});

/// Computes log-probabilities and gradient at once, while each row is in the cache, for
/// coefficients known beforehand: with ±1, the unscaled gradient, to which a pair's coefficient is
/// applied later.
void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowSelection& selection, const RowStatistics& out,
                                const double* coefficient, const GradientRows& gradient,
                                MaskedRows masked = MaskedRows::zero,
                                const Executor& executor = {});

}  // namespace sp2dpo::cpu
