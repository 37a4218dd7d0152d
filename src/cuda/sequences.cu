// SPDX-License-Identifier: Apache-2.0
#include "row_kernels.hpp"

#include <sp2dpo/cuda/pair_loss.cuh>

namespace sp2dpo::cuda {
namespace {

using detail::threads_per_block;

/// The rows [begin, end) of one sequence.
struct Sequence {
  std::int64_t pair, begin, end;
  bool is_chosen;

  /// Returns the block's sequence: blocks 2i and 2i + 1 take those of pair i.
  static __device__ Sequence of_block(const Sequences& sequences) {
    const std::int64_t pair = blockIdx.x / 2;
    const std::int64_t side = blockIdx.x % 2;
    std::int64_t s = 0;
    if (sequences.layout == Sequences::Layout::listed)
      s = (side == 0 ? sequences.chosen : sequences.rejected)[pair];
    else if (sequences.layout == Sequences::Layout::halves)
      s = pair + side * (sequences.count / 2);
    else
      s = 2 * pair + side;
    if (sequences.cu_seqlens == nullptr)
      return {pair, s * sequences.length, (s + 1) * sequences.length, side == 0};
    return {pair, sequences.cu_seqlens[s], sequences.cu_seqlens[s + 1], side == 0};
  }

  /// Calls f(row) for each row, distributed over the block's threads.
  template <class F>
  __device__ void for_each_row(const F& f) const {
    for (std::int64_t row = begin + threadIdx.x; row < end; row += threads_per_block) f(row);
  }
};

__global__ void __launch_bounds__(threads_per_block)
    sums_kernel(SequenceRows batch, const double* row_log_prob, bool empty_allowed,
                SequenceSums out) {
  const Sequence sequence = Sequence::of_block(batch.sequences);
  const RowLabels& labels = batch.labels;
  double sum = 0, rows = 0;
  sequence.for_each_row([&](std::int64_t row) {
    if (labels.label[row] == labels.ignored) return;
    sum += row_log_prob[row];
    ++rows;
  });
  sum = detail::block_sum(sum);
  __syncthreads();  // before block_sum's memory is reused
  rows = detail::block_sum(rows);
  if (threadIdx.x != 0) return;
  if (rows == 0)
    sum = empty_allowed ? 0 : NAN;
  else if (batch.average)
    sum /= rows;
  (sequence.is_chosen ? out.chosen : out.rejected)[sequence.pair] = sum;
  (sequence.is_chosen ? out.chosen_row_counts : out.rejected_row_counts)[sequence.pair] =
      static_cast<std::int64_t>(rows);
}

__global__ void __launch_bounds__(threads_per_block)
    coefficients_kernel(SequenceRows batch, SequenceSums sums, PairValues d_chosen,
                        PairValues d_rejected, PairValues upstream, double nll_scale,
                        double* coefficient) {
  const Sequence sequence = Sequence::of_block(batch.sequences);
  const RowLabels& labels = batch.labels;
  const std::int64_t rows =
      (sequence.is_chosen ? sums.chosen_row_counts : sums.rejected_row_counts)[sequence.pair];
  double slope = sequence.is_chosen ? d_chosen[sequence.pair] : d_rejected[sequence.pair];
  if (batch.average && rows > 0) slope /= static_cast<double>(rows);
  if (sequence.is_chosen) slope -= nll_scale;
  slope *= upstream[sequence.pair];
  sequence.for_each_row([&](std::int64_t row) {
    coefficient[row] = labels.label[row] == labels.ignored ? 0 : slope;
  });
}

}  // namespace

void launch::sequence_log_probs(const SequenceRows& batch, const double* row_log_prob,
                                bool empty_allowed, const SequenceSums& out, unsigned blocks,
                                Stream stream) {
  detail::launch("cuda::sequence_log_probs", sums_kernel, blocks, threads_per_block, stream, batch,
                 row_log_prob, empty_allowed, out);
}

void launch::row_coefficients(const SequenceRows& batch, const SequenceSums& sums,
                              const PairValues& d_chosen, const PairValues& d_rejected,
                              const PairValues& upstream, double nll_scale, double* coefficient,
                              unsigned blocks, Stream stream) {
  detail::launch("cuda::row_coefficients", coefficients_kernel, blocks, threads_per_block, stream,
                 batch, sums, d_chosen, d_rejected, upstream, nll_scale, coefficient);
}

}  // namespace sp2dpo::cuda
