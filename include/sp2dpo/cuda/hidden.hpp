// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// The loss from hidden states and the head on the device, as sp2dpo::cpu has it: rows that count
/// are gathered, logits are made chunk by chunk of whole pairs and become their own gradient, and
/// are never held for the whole batch. Products are cuBLASLt's, of float16, bfloat16 or float32
/// matrices, summed in float32, without reductions that depend on an order.
namespace sp2dpo::cuda {

/// cuBLASLt, and the algorithms that it has chosen so far. Expensive to make, so to be kept; for
/// the device that is current then, and for one thread at a time.
class MatrixProducts {
 public:
  struct Operand {
    ConstMatrix matrix;
    bool transposed = false;
  };

  /// Throws CudaError where cuBLASLt does not start.
  MatrixProducts();
  MatrixProducts(const MatrixProducts&) = delete;
  MatrixProducts& operator=(const MatrixProducts&) = delete;
  ~MatrixProducts();

  /// out = op(a) · op(b), or out += op(a) · op(b) with `add`, where op transposes as its flag says.
  /// `out` has the operands' element type or float32. Throws InvalidArgument for shapes and types
  /// that do not fit and matrices without data, CudaError where cuBLASLt fails.
  void operator()(const Operand& a, const Operand& b, const Matrix& out, bool add, void* workspace,
                  std::size_t workspace_bytes, Stream stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What PairRows holds, in device memory.
struct PairRowLists {
  const std::int64_t* rows = nullptr;    ///< PairRows::rows()
  const std::int64_t* bounds = nullptr;  ///< PairRows::bounds()
  /// Whether an answer may have no row that counts, with the log-probability 0. Otherwise it has
  /// NaN, for a caller that did not look at the labels and so could not refuse it.
  bool empty_allowed = true;
};

/// Where hidden_loss writes by pair, in device memory.
struct HiddenOutputs {
  SequenceSums sums;             ///< [P] each
  double* d_chosen = nullptr;    ///< [P], where loss.outputs.d_policy_chosen writes
  double* d_rejected = nullptr;  ///< [P]
};

/// How many rows are taken at a time so that the chunk's buffers stay within `bytes`: at least 1.
[[nodiscard]] std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes,
                                             bool with_reference = false);

/// How a pair of more rows than a chunk is taken. It goes through in parts, and the scale of its
/// gradient is known only after the last one.
enum class LongPairs : std::uint8_t {
  /// Its logits are made twice, for the log-probabilities and for the gradient, which costs a
  /// fourth matrix product.
  recompute,
  /// Its logits are made once and become gradients without their scale. Those by head and bias are
  /// summed in the workspace in float32, 4·V·(H + 1) bytes: in one sum, with the rejected
  /// sequence's sign reversed, where the slopes of chosen and rejected are opposite (a function of
  /// z, no nll_scale); else in a sum for each. Those by hidden states wait in d_hidden, so that they
  /// are rounded to its type once more. They are at most 2 · max |head|, which float16 holds; for a
  /// mean over rows of which most are masked and still listed, that divided by the share of the
  /// others.
  by_side
};

/// What hidden_loss and hidden_log_probs work on. Matrices and lists are in device memory.
struct HiddenJob {
  HiddenRows rows{};     ///< d_hidden, d_head and d_bias are dense
  PairRowLists lists{};  ///< rows whose label is ignored are multiplied like the others
  std::int64_t chunk_rows = 0;
  /// Null, or hidden states [R, H] of a reference with the same head and bias (a policy without its
  /// adapter, LoRA): their logits come from the same products, and loss.inputs' reference is not
  /// read.
  ConstMatrix reference{};
  LongPairs long_pairs = LongPairs::recompute;
};

/// Bytes of workspace, 256-byte aligned, for hidden_loss. Depends on the gradients that job.rows
/// asks for, on the objective and on nll_scale.
[[nodiscard]] std::size_t hidden_workspace(const HiddenJob& job, const SequenceLoss& loss);

/// Bytes of workspace for hidden_log_probs.
[[nodiscard]] std::size_t hidden_workspace(const HiddenJob& job, const PairRows& pairs);

/// Log-probabilities of the sequences, sums or means over their rows, for a reference with a head of
/// its own. Gradients and job.reference are not read. Throws as hidden_loss does.
void hidden_log_probs(const HiddenJob& job, const PairRows& pairs, bool average,
                      const SequenceSums& out, const RowMemory& memory, MatrixProducts& products,
                      Stream stream);

/// The counterpart of cpu::hidden_loss: the loss and slopes of each pair, as loss.outputs says, and
/// the gradients at once. The caller sums the loss over the pairs. `loss.rows` is read on the host,
/// and job.lists holds its copies; everything else is in device memory.
///
/// Nothing is allocated and nothing waits for the device. Throws InvalidArgument, before anything is
/// launched, for matrices that do not fit together, null arrays, slopes that go elsewhere than to
/// `out` and a workspace that is too small, and CudaError if a launch or a product fails.
void hidden_loss(const HiddenJob& job, const SequenceLoss& loss, const HiddenOutputs& out,
                 const RowMemory& memory, MatrixProducts& products, Stream stream);

}  // namespace sp2dpo::cuda
