// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/loss/detail/host_device.hpp>
#include <sp2dpo/loss/dtype.hpp>

namespace sp2dpo {

/// The offset of each row, in elements from the first one. Rows may lie in blocks, like those of a
/// tensor [batch, inner, columns] that is not contiguous.
struct RowLayout {
  std::int64_t stride = 0;        ///< from one row to the next
  std::int64_t inner = 0;         ///< rows in a block; 0 without blocks
  std::int64_t outer_stride = 0;  ///< from one block to the next

  /// Elements from the first row to this one.
  [[nodiscard]] SP2DPO_HD constexpr std::int64_t offset(std::int64_t row) const {
    return inner == 0 ? row * stride : row / inner * outer_stride + row % inner * stride;
  }

  friend bool operator==(const RowLayout&, const RowLayout&) = default;
};

/// Borrowed logits [rows, vocab]. The elements of a row are contiguous. Columns from `vocab` up to
/// `padded_vocab` are padding: they are never read, and their gradient is zero.
struct LogitRows {
  const void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  std::int64_t padded_vocab = 0;  ///< at least `vocab`, or 0 for the same
  RowLayout layout{};
};

/// The destination of the gradient of LogitRows: the same shape and element type, in its own
/// layout. It may be the logits' memory if it also has their layout; otherwise the two must not
/// overlap.
struct GradientRows {
  void* data = nullptr;
  RowLayout layout{};
};

/// The token that each row predicts, by row number: in [0, vocab), or `ignored`. A row whose label
/// is ignored (masked) is never read, and its log-probability counts as zero.
struct RowLabels {
  const std::int64_t* label = nullptr;
  std::int64_t ignored = -100;
  /// The label's logit by row number, in higher precision than the logits are stored in; null to
  /// read it from the logits.
  const double* logit = nullptr;
};

/// The rows that a call works on: `count` rows from number `first` on or, with a list, the rows
/// list[first], list[first + 1] and so on. Row numbers must be distinct.
struct RowSelection {
  std::int64_t first = 0;
  std::int64_t count = 0;
  const std::int64_t* list = nullptr;

  [[nodiscard]] SP2DPO_HD constexpr std::int64_t operator[](std::int64_t i) const {
    return list == nullptr ? first + i : list[first + i];
  }
};

/// Statistics of rows, by row number. A null array is not written.
struct RowStatistics {
  double* log_prob = nullptr;  ///< of the label, in nats; never above 0
  double* lse_others =
      nullptr;  ///< log Σ exp(logit) over all but the label; the gradient pass reads it
  double* logit_sum = nullptr;  ///< Σ logit over the vocabulary, for the mean-logits metric
};

/// The gradient of a masked row: zeros, or whatever its memory already holds.
enum class MaskedRows : std::uint8_t { zero, leave };

/// Logits, their labels and the gradient that a loss of them computes.
struct LogitsJob {
  LogitRows logits;
  RowLabels labels;
  GradientRows gradient{};  ///< no data: the loss alone is computed
  /// An array [rows] of 1.0 for a unit gradient, which one pass computes before the loss is known:
  /// row r becomes onehot − softmax, and the caller multiplies it by the row's coefficient where
  /// it is used. 0.0 for rows of no gradient. Null for the gradient itself.
  const double* unit = nullptr;
};

/// The sequences of a batch: their rows, and the pairs that they form.
struct Sequences {
  std::int64_t count = 0;
  std::int64_t length = 0;                   ///< rows of each, one sequence after the other
  const std::int64_t* cu_seqlens = nullptr;  ///< or their bounds [count + 1], where they are packed

  /// Pair i consists of sequences i and i + P (halves), 2i and 2i + 1 (interleaved), or those that
  /// the two lists [pairs] name.
  enum class Layout : std::uint8_t { halves, interleaved, listed };
  Layout layout = Layout::halves;
  const std::int64_t* chosen = nullptr;
  const std::int64_t* rejected = nullptr;
  std::int64_t pairs = 0;  ///< with lists: their length
};

}  // namespace sp2dpo
