// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <sp2dpo/cpu/matrix.hpp>
#include <sp2dpo/cpu/sequence_outputs.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// The loss from hidden states and the head: logits are made chunk by chunk of whole pairs, by
/// matrix products that the caller supplies, and never held for the whole batch.
namespace sp2dpo::cpu {

/// The caller's matrix product, out = op(a) · op(b), or out += op(a) · op(b) with `add`, where op
/// transposes as its flag says. All three have one element type. Borrowed for the length of a call.
class MatrixProduct {
 public:
  /// A factor of the product.
  struct Operand {
    ConstMatrix matrix;
    bool transposed = false;
  };

  template <std::invocable<const Operand&, const Operand&, const Matrix&, bool> F>
  MatrixProduct(const F& product)  // NOLINT: a callable is one
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

/// How many rows are taken at a time so that the chunk's buffers stay within `bytes`: at least 1.
[[nodiscard]] std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes);

/// Bytes of workspace, 64-byte aligned, for chunks of `chunk_rows` rows of these pairs.
[[nodiscard]] std::size_t hidden_workspace(const HiddenRows& rows, const PairRows& pairs,
                                           std::int64_t chunk_rows);

/// Log-probabilities of the rows of all pairs, by row number. Throws InvalidArgument as
/// row_log_probs.
void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
                      void* workspace, const RowStatistics& out, const MatrixProduct& product,
                      const Executor& executor = {});

/// Loss and gradients. Pairs are taken together as they fit into `chunk_rows`. A pair that does not
/// fit alone goes through in parts with unscaled gradients, summed apart and scaled at its end: one
/// sum where chosen and rejected slopes are opposite, one for each answer where they are not.
LossSum hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t chunk_rows,
                    void* workspace, const SequenceOutputs& out, const MatrixProduct& product,
                    const Executor& executor = {});

}  // namespace sp2dpo::cpu
