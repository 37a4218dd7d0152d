// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/loss/logit_rows.hpp>

namespace sp2dpo::cuda {

/// The answers of a batch, whose sequences cover rows that lie one after the other; masked ones
/// among them count for nothing. The arrays of `sequences` and `labels` are in device memory, and
/// their numbers are taken on trust.
struct SequenceRows {
  Sequences sequences;
  RowLabels labels;
  bool average = false;  ///< an answer's log-probability is the mean over its rows
};

/// Where sequence_log_probs writes by pair, [P] each.
struct SequenceSums {
  double* chosen = nullptr;  ///< log-probabilities
  double* rejected = nullptr;
  std::int64_t* chosen_row_counts = nullptr;  ///< how many rows count
  std::int64_t* rejected_row_counts = nullptr;
};

}  // namespace sp2dpo::cuda
