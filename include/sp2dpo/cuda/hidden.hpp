// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <sp2dpo/cuda/hidden_job.hpp>
#include <sp2dpo/cuda/matrix_products.hpp>
#include <sp2dpo/cuda/row_memory.hpp>
#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// The loss of a batch from hidden states and the head on the device. The rows that count are
/// gathered; logits are computed in chunks of whole pairs, overwritten by their gradient, and never
/// held for the whole batch. Matrix products are cuBLASLt's, of float16, bfloat16 or float32,
/// summed in float32 in an order that does not vary between runs.
namespace sp2dpo::cuda {

/// Returns how many rows fit into a chunk whose buffers stay within `bytes`: at least 1.
[[nodiscard]] std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes,
                                             bool with_reference = false);

/// Returns the bytes of workspace, 256-byte aligned, for hidden_loss. They depend on the gradients
/// that job.rows asks for, on the objective and on nll_scale.
[[nodiscard]] std::size_t hidden_workspace(const HiddenJob& job, const SequenceLoss& loss);

/// Returns the bytes of workspace, 256-byte aligned, for hidden_log_probs.
[[nodiscard]] std::size_t hidden_workspace(const HiddenJob& job, const PairRows& pairs);

/// Computes log-probabilities of the sequences, sums or means over their rows, for a reference with
/// its own head. Gradients and job.reference are not read. Throws as hidden_loss does.
void hidden_log_probs(const HiddenJob& job, const PairRows& pairs, bool average,
                      const SequenceSums& out, const RowMemory& memory, MatrixProducts& products,
                      Stream stream);

/// Does what cpu::hidden_loss does on the device: computes the loss and slopes of each pair, as
/// loss.outputs says, and the gradients. The caller sums the loss over the pairs. `loss.rows` is
/// read on the host, and job.lists holds its copies; everything else is in device memory.
///
/// Nothing is allocated and nothing waits for the device. Throws InvalidArgument before any launch
/// for matrices that do not fit together, null arrays, slopes that go elsewhere than to `out` and a
/// workspace that is too small, and CudaError if a launch or a product fails.
void hidden_loss(const HiddenJob& job, const SequenceLoss& loss, const HiddenOutputs& out,
                 const RowMemory& memory, MatrixProducts& products, Stream stream);

}  // namespace sp2dpo::cuda
