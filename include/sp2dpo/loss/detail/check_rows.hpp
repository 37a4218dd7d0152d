// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/logit_rows.hpp>

/// Argument checks that the kernel rooms share. Each throws InvalidArgument in the name of `call`,
/// the public function, and names the array at fault.
namespace sp2dpo::detail {

/// Returns whether the selection is empty, so that a call has nothing to do.
inline bool is_empty(const char* call, const RowSelection& selection) {
  require(selection.count >= 0, "{}: the selection has {} rows; expected at least 0", call,
          selection.count);
  return selection.count == 0;
}

/// Checks everything about a selection that is not empty, except the values of labels and lists.
inline void check_rows(const char* call, const LogitRows& logits, const RowLabels& labels,
                       const RowSelection& selection) {
  require(logits.data != nullptr, "{}: logits.data is null", call);
  require(labels.label != nullptr, "{}: labels.label is null", call);
  require(logits.vocab >= 1, "{}: logits.vocab is {}; expected at least 1", call, logits.vocab);
  require(logits.padded_vocab == 0 || logits.padded_vocab >= logits.vocab,
          "{}: logits.padded_vocab {} is smaller than logits.vocab {}", call, logits.padded_vocab,
          logits.vocab);
  require(logits.layout.inner >= 0, "{}: logits.layout.inner is {}; expected at least 0", call,
          logits.layout.inner);
  require(selection.first >= 0, "{}: the selection starts at row {}", call, selection.first);
  require(selection.list != nullptr || selection.first + selection.count <= logits.rows,
          "{}: the selection contains row {}, but logits have {} rows", call,
          selection.first + selection.count - 1, logits.rows);
}

/// Checks the row numbers of a selection and their labels, all in host memory.
inline void check_labels(const char* call, const RowLabels& labels, const RowSelection& selection,
                         std::int64_t rows, std::int64_t vocab) {
  for (std::int64_t i = 0; i < selection.count; ++i) {
    const std::int64_t row = selection[i];
    require(row >= 0 && row < rows, "{}: the selection contains row {}, but there are {} rows",
            call, row, rows);
    const std::int64_t label = labels.label[row];
    require(label == labels.ignored || (label >= 0 && label < vocab),
            "{}: the label of row {} is {}; expected a token in [0, {}) or {}", call, row, label,
            vocab, labels.ignored);
  }
}

/// Checks where a gradient goes.
inline void check_gradient(const char* call, const LogitRows& logits, const double* coefficient,
                           const GradientRows& out) {
  require(coefficient != nullptr, "{}: coefficient is null", call);
  require(out.data != nullptr, "{}: the gradient's data is null", call);
  require(out.data != logits.data || out.layout == logits.layout,
          "{}: a gradient in the memory of the logits must have their layout", call);
}

}  // namespace sp2dpo::detail
