// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/cpu/executor.hpp>
#include <sp2dpo/loss/logit_rows.hpp>

/// Row kernels on the host, for whatever vector instructions the processor has. They know no
/// objective: log-probabilities go out, and a coefficient a row comes back. They read and write
/// memory that the caller owns, and allocate nothing.
///
/// With z the logits of a row, y its label and lse_others = log Σ_{j≠y} exp(z_j):
///
///     d = lse_others − z_y      log p_y = −softplus(d)      1 − p_y = σ(d)
///
/// so nothing cancels as p_y goes to 1. 16- and 32-bit logits are reduced in float within blocks of
/// 2048 and in double across them, 64-bit ones in double. A logit of −inf has probability 0: at the
/// label the log-probability is −inf, at all others it is 0 (as where the vocabulary is 1). NaN or
/// +inf anywhere makes the row NaN.
///
/// Each call throws InvalidArgument, before it writes, for a shape that makes no sense, a row
/// number outside the logits, and a label outside [0, vocab) that is not `ignored`, naming it and
/// its row.
namespace sp2dpo::cpu {

/// Throws as described above. For drivers that call the kernels from inside parallel work, where an
/// exception has nowhere to go.
void check_rows(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection);

/// The log-probability of each selected row's label. Reads each row once.
void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                   const RowStatistics& out, const Executor& executor = {});

/// The gradient coefficient[r] · (onehot(y) − p) of each selected row, where coefficient[r] is the
/// derivative of the loss by row r's log-probability; the label's element is coefficient[r] · σ(d),
/// rounded once. `lse_others` is what row_log_probs wrote, both arrays go by row number. A row
/// whose coefficient is 0 gets zeros, unread.
void row_gradient(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                  const double* lse_others, const double* coefficient, const GradientRows& out,
                  MaskedRows masked = MaskedRows::zero, const Executor& executor = {});

/// Both at once, row by row while each is in the cache, for coefficients known beforehand: the
/// unscaled gradient with ±1, whose consumer applies the pair's coefficient later.
void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowSelection& selection, const RowStatistics& out,
                                const double* coefficient, const GradientRows& gradient,
                                MaskedRows masked = MaskedRows::zero,
                                const Executor& executor = {});

}  // namespace sp2dpo::cpu
