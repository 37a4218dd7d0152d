// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "hidden_buffers.hpp"
#include "hidden_chunks.hpp"

namespace sp2dpo::cuda {

/// Pairs whose rows pass through the chunks together.
struct PairGroup {
  std::int64_t begin, end;
  SequenceRows batch;  ///< their sequences, whose rows are by index
  SequenceSums sums;   ///< their sums
};

/// A pair longer than a chunk, whose gradients are computed before the loss gives their scale; see
/// LongPairs::by_side.
class UnscaledPair {
 public:
  UnscaledPair(HiddenChunks& chunks, const HiddenJob& job, const SequenceLoss& loss,
               const PairGroup& group, Stream stream);

  /// Computes the rows' log-probabilities and the gradients. With one sum, the rejected sequence's
  /// gradient is computed with the opposite of the chosen one's slope.
  void make();

  /// Scales the gradients as row_coefficients would have scaled the rows. With `add` those by head
  /// and bias are added to what is there; otherwise they replace it.
  void scale(const PairValues& d_chosen, const PairValues& d_rejected, const PairValues& upstream,
             bool add);

 private:
  HiddenChunks& chunks_;
  const HiddenBuffers& at_;
  const HiddenJob& job_;
  const SequenceLoss& loss_;
  const PairGroup group_;
  const bool one_sum_, two_sums_;
  const Stream stream_;
  double unit_ = 1;  // a chosen row's coefficient, times the sequence's length for averages
};

template <class F>
void for_each_part(const RowSelection& rows, std::int64_t chunk_rows, const F& f) {
  for (std::int64_t done = 0; done < rows.count; done += chunk_rows)
    f(rows.first + done, rows.count - done < chunk_rows ? rows.count - done : chunk_rows);
}

}  // namespace sp2dpo::cuda
