// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "hidden_buffers.hpp"

#include <sp2dpo/cuda/matrix_products.hpp>
#include <sp2dpo/cuda/row_memory.hpp>

namespace sp2dpo::cuda {

/// The passes over one chunk of rows after the other. Rows go by their index among those that
/// count.
class HiddenChunks {
 public:
  /// Checks lists and workspace, and gathers the labels. Borrows `job`.
  HiddenChunks(const char* call, const HiddenJob& job, const PairRows& pairs, int sums,
               const RowMemory& memory, MatrixProducts& products, Stream stream);

  /// Gathers the hidden states of these rows and computes their logits.
  void load(std::int64_t first, std::int64_t count);

  /// Also writes their statistics to at.logit, at.log_prob and at.lse_others, and the reference's,
  /// whose logits come from the same product, to at.reference_log_prob.
  void load_with_log_probs(std::int64_t first, std::int64_t count);

  /// Also turns the logits into the gradient by them, with at.coefficient.
  void load_with_gradient(std::int64_t first, std::int64_t count);

  /// Turns the logits into the gradient by them, with at.coefficient.
  void make_gradient();

  /// Goes from the gradient by the logits to those by hidden states, head and bias. With `add` the
  /// last two are added to `d_head` and `d_bias`; otherwise they replace what these hold.
  void backward(const Matrix& d_head, float* d_bias, bool add);

  const HiddenBuffers at;

 private:
  /// Returns the chunk's rows, from row `from` of the buffer on.
  [[nodiscard]] Matrix matrix(void* data, std::int64_t columns, std::int64_t from = 0) const;
  [[nodiscard]] Matrix hidden(std::int64_t from = 0) const {
    return matrix(at.hidden, rows_.hidden.columns, from);
  }
  [[nodiscard]] Matrix logits(std::int64_t from = 0) const {
    return matrix(at.logits, rows_.head.rows, from);
  }
  [[nodiscard]] LogitRows logit_rows(std::int64_t from = 0) const;
  [[nodiscard]] GradientRows gradient_rows() const {
    return {at.logits, {.stride = rows_.head.rows}};
  }
  [[nodiscard]] RowStatistics statistics() const {
    return {at.log_prob + first_, at.lse_others + first_};
  }
  [[nodiscard]] RowLabels labels(const double* logit) const {
    return {at.label + first_, rows_.labels.ignored, logit + first_};
  }
  void gather(std::int64_t first, std::int64_t count);
  /// Computes logits of the first `count` rows of the buffer of hidden states.
  void make_logits(std::int64_t count);
  void load_with_reference(std::int64_t first, std::int64_t count);
  void make_label_logits(std::int64_t from, double* logit);
  /// Keeps rows that do not count, which may be NaN, from the head's gradient.
  void drop_rows();
  void multiply(const MatrixProducts::Operand& a, const MatrixProducts::Operand& b,
                const Matrix& product, bool add);

  const HiddenRows& rows_;
  const ConstMatrix reference_;
  const std::int64_t* list_;
  const RowMemory scratch_;
  MatrixProducts& products_;
  const Stream stream_;
  std::int64_t first_ = 0, count_ = 0;
};

}  // namespace sp2dpo::cuda
