// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <sp2dpo/cpu/executor.hpp>
#include <sp2dpo/cpu/sequence_outputs.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// The loss of a batch from its logits on the host.
namespace sp2dpo::cpu {

/// Bytes of workspace, 64-byte aligned, that logits_loss needs for arrays left null. A call that
/// gives all arrays needs none.
[[nodiscard]] std::size_t logits_workspace(const LogitRows& logits, const PairRows& pairs);

/// Computes the loss of the pairs in loss.rows and, if job.gradient has data, its gradient by the
/// logits, with zeros for rows of no sequence. The gradient is computed pair by pair, so that the
/// second pass finds a pair's rows in the cache; with job.unit, in one pass over all rows.
/// Coefficients are always written, 0 for rows of no sequence.
///
/// Throws InvalidArgument, before it writes, for null arrays, shapes that do not fit together and
/// labels outside the vocabulary.
LossSum logits_loss(const LogitsJob& job, const SequenceLoss& loss, void* workspace,
                    const SequenceOutputs& out = {}, const Executor& executor = {});

}  // namespace sp2dpo::cpu
