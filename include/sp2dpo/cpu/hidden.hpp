// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <sp2dpo/cpu/matrix.hpp>
#include <sp2dpo/cpu/sequence_outputs.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// The loss of a batch from hidden states and the head on the host. Logits are computed in chunks
/// of whole pairs, by matrix products that the caller supplies, and never held for the whole batch.
namespace sp2dpo::cpu {

/// The caller's matrix product, out = op(a) · op(b), or out += op(a) · op(b) with `add`, where op
/// transposes if its flag is set. All three have one element type. Borrowed for the length of a
/// call, and called by one thread at a time.
class MatrixProduct {
 public:
  /// A factor of the product.
  struct Operand {
    ConstMatrix matrix;
    bool transposed = false;
  };

  template <std::invocable<const Operand&, const Operand&, const Matrix&, bool> F>
  MatrixProduct(const F& product)  // NOLINT: implicit on purpose
      : context_(std::addressof(product)),
        call_([](const void* context, const Operand& a, const Operand& b, const Matrix& out,
                 bool add) { (*static_cast<const F*>(context))(a, b, out, add); }) {}

  void operator()(const Operand& a, const Operand& b, const Matrix& out, bool add = false) const {
    call_(context_, a, b, out, add);
  }

 private:
  const void* context_;
  void (*call_)(const void*, const Operand&, const Operand&, const Matrix&, bool);
};

/// Returns how many rows fit into a chunk whose buffers stay within `bytes`: at least 1.
[[nodiscard]] std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes);

/// Returns the bytes of workspace, 64-byte aligned, for chunks of `chunk_rows` rows of these pairs.
[[nodiscard]] std::size_t hidden_workspace(const HiddenRows& rows, const PairRows& pairs,
                                           std::int64_t chunk_rows);

/// Computes the log-probabilities of the rows of all pairs, by row number. Throws InvalidArgument
/// as hidden_loss does.
void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
                      void* workspace, const RowStatistics& out, const MatrixProduct& product,
                      const Executor& executor = {});

/// Computes the loss of the pairs in loss.rows and the gradients that `rows` asks for. A chunk
/// takes as many pairs as fit into `chunk_rows`. A pair too long for one chunk goes through in
/// parts, with unscaled gradients that are summed apart and scaled at the end: in one sum where the
/// slopes of chosen and rejected are opposite, else in one for each.
///
/// Throws InvalidArgument, before it writes, for null arrays, shapes that do not fit together and
/// labels outside the vocabulary.
LossSum hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t chunk_rows,
                    void* workspace, const SequenceOutputs& out, const MatrixProduct& product,
                    const Executor& executor = {});

}  // namespace sp2dpo::cpu
