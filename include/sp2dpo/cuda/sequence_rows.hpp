// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/loss/logit_rows.hpp>

namespace sp2dpo::cuda {

/// The sequences of a batch. Each covers consecutive rows, of which masked ones do not count. The
/// arrays of `sequences` and `labels` are in device memory, and their values are not checked.
struct SequenceRows {
  Sequences sequences;
  RowLabels labels;
  bool average = false;  ///< a sequence's log-probability is the mean over its rows
};

/// The arrays that sequence_log_probs writes by pair, [P] each.
struct SequenceSums {
  double* chosen = nullptr;  ///< log-probabilities
  double* rejected = nullptr;
  std::int64_t* chosen_row_counts = nullptr;  ///< numbers of rows that count
  std::int64_t* rejected_row_counts = nullptr;
};

}  // namespace sp2dpo::cuda
