// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// The loss of a batch from its logits on the device.
namespace sp2dpo::cuda {

/// The sequences that loss.rows was made from, with their lists in device memory.
struct SequenceLists {
  Sequences sequences;
  /// Allows a sequence without rows that count; its log-probability is then 0. Otherwise it is NaN,
  /// since the host has not seen the labels and could not refuse them.
  bool empty_allowed = true;
};

/// The arrays that logits_loss writes by pair [P] and by row number [R], in device memory. All but
/// rows.logit_sum are required.
struct LogitsOutputs {
  RowStatistics rows;             ///< [R] each
  SequenceSums sums;              ///< [P] each
  double* d_chosen = nullptr;     ///< [P], where loss.outputs.d_policy_chosen writes
  double* d_rejected = nullptr;   ///< [P]
  double* coefficient = nullptr;  ///< [R]: the loss's derivative by each row's log-probability
  PairSink total{};               ///< one number: gradient_scale · Σ weight · value
};

/// Returns the bytes of workspace that logits_loss needs, 16-byte aligned.
[[nodiscard]] std::size_t logits_workspace(const LogitRows& logits, const PairRows& pairs);

/// Does what cpu::logits_loss does on the device: computes the loss of each pair and, if
/// job.gradient has data, the gradient by the logits. Coefficients are always written, 0 for rows
/// of no sequence. loss.rows tells only the number of pairs. loss.skip_incomplete is refused, since
/// the host does not know which sequences are empty. out.total leaves out the NLL term.
///
/// Nothing is allocated and nothing waits for the device; the call can be captured in a graph.
/// Throws InvalidArgument, before anything is launched, for null arrays, shapes that do not fit
/// together and a workspace that is too small, and CudaError if a launch fails.
void logits_loss(const LogitsJob& job, const SequenceLoss& loss, const SequenceLists& lists,
                 const LogitsOutputs& out, const RowMemory& memory, Stream stream);

}  // namespace sp2dpo::cuda
