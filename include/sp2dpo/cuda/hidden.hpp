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

/// What becomes of a pair of more rows than a chunk, which goes through in parts: the scale of its
/// gradient is known after the last part only.
enum class LongPairs : std::uint8_t {
  /// Its logits are made twice, for the log-probabilities and for the gradient: a product of four.
  recompute,
  /// Its logits are made once, and become gradients without their scale. Those by head and bias are
  /// summed in the workspace in float32, 4·V·(H + 1) bytes: in one sum, the rejected answer's with
  /// the other sign, where the answers' slopes are opposite (a function of z, no nll_scale); else
  /// in a sum for each answer. Those by hidden states lie in d_hidden meanwhile, and are so rounded
  /// to its type twice. They are at most 2 · max |head|, which float16 holds; in a mean over rows
  /// most of which are masked ones that nobody looked for, that over the share of the others.
  by_side
};

/// Bytes of workspace for chunks of `chunk_rows` rows of these pairs, where long ones are made
/// anew.
[[nodiscard]] std::size_t hidden_workspace(const HiddenRows& rows, const PairRows& pairs,
                                           std::int64_t chunk_rows, bool with_reference = false);

/// The same for hidden_loss, by what is to become of long pairs. Looks at which gradients `rows`
/// wants, at the objective and at nll_scale.
[[nodiscard]] std::size_t hidden_workspace(const HiddenRows& rows, const SequenceLoss& loss,
                                           std::int64_t chunk_rows, bool with_reference,
                                           LongPairs long_pairs);

/// Log-probabilities of the answers, sums or means over their rows, as a reference's that was
/// trained with a head of its own. As hidden_loss for the rest; gradients are not looked at.
void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, const PairRowLists& lists,
                      bool average, std::int64_t chunk_rows, const SequenceSums& out,
                      const RowMemory& memory, MatrixProducts& products, Stream stream);

/// As cpu::hidden_loss: gradients at once, beside the loss and slopes of each pair as
/// loss.outputs says. The loss as a whole is the caller's to sum. `loss.rows` is looked at on the
/// host, and `lists` has its copies; all else is in device memory. Rows among them whose label is
/// ignored count for nothing, but are multiplied with the others. `long_pairs` says how pairs of
/// more than `chunk_rows` rows are taken. d_hidden, d_head and d_bias are dense.
/// `reference`, if it has data, are the hidden states [R, H] of a reference with the same head and
/// bias (a policy without its adapter, LoRA): their logits come of the same products, and what
/// loss.inputs says of a reference is not looked at. Nothing waits for the device. Throws
/// InvalidArgument, before anything is launched, for matrices that do not fit together, arrays at
/// null, slopes that go elsewhere than to `out` and a workspace that is too small, CudaError where
/// a launch or a product fails.
void hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, const PairRowLists& lists,
                 std::int64_t chunk_rows, const HiddenOutputs& out, const RowMemory& memory,
                 MatrixProducts& products, Stream stream, const ConstMatrix& reference = {},
                 LongPairs long_pairs = LongPairs::recompute);

}  // namespace sp2dpo::cuda
