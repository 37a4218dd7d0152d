// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "row_kernels.hpp"

#include <sp2dpo/cuda/hidden_job.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/loss/detail/arena.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

namespace sp2dpo::cuda {

constexpr std::size_t hidden_alignment = 256;  // cuBLASLt's of its workspace, and its fastest
constexpr std::int64_t product_bytes = std::int64_t{32} << 20;

/// Returns how many sums hold the gradients of head and bias by a pair longer than a chunk.
inline int sums_of(const HiddenJob& job, const SequenceLoss& loss) {
  if (job.long_pairs == LongPairs::recompute || loss.rows.longest() <= job.chunk_rows ||
      (job.rows.d_head.data == nullptr && job.rows.d_bias.data == nullptr))
    return 0;
  return loss.objective.is_function_of_z() && loss.nll_scale == 0 ? 1 : 2;
}

/// Arrays by the index of a row among those that count, and the buffers of one chunk of them.
struct HiddenBuffers {
  /// `sums` is the number of sums that the gradients of a long pair need; see sums_of().
  HiddenBuffers(const HiddenJob& job, const PairRows& pairs, int sums, void* workspace) {
    const HiddenRows& rows = job.rows;
    const auto count = std::ssize(pairs.rows());
    const std::int64_t max_rows = std::min(job.chunk_rows, count);
    const bool with_reference = job.reference.data != nullptr;
    const std::int64_t together = with_reference ? 2 * max_rows : max_rows;
    const std::size_t element = size_of(rows.hidden.dtype);
    detail::Arena arena(workspace, hidden_alignment);
    label = arena.take<std::int64_t>(count);
    logit = arena.take<double>(count);
    log_prob = arena.take<double>(count);
    lse_others = arena.take<double>(count);
    coefficient = arena.take<double>(count);
    counted = arena.take<double>(pairs.pairs());
    if (with_reference) {
      const std::int64_t n = pairs.pairs();
      reference_logit = arena.take<double>(count);
      reference_log_prob = arena.take<double>(count);
      reference = {arena.take<double>(n), arena.take<double>(n), arena.take<std::int64_t>(n),
                   arena.take<std::int64_t>(n)};
    }
    hidden = arena.take(together * rows.hidden.columns, element);
    logits = arena.take(together * rows.head.rows, element);
    if (rows.d_hidden.data != nullptr)
      d_hidden = arena.take(max_rows * rows.hidden.columns, element);
    // row_workspace is at most this for any number of rows up to `max_rows`.
    row_bytes = static_cast<std::size_t>(512 + max_rows) * sizeof(launch::PartialSum);
    row = arena.take(1, row_bytes);
    if (sums > 0) {
      factor = arena.take<double>(2);
      side_label = arena.take<std::int64_t>(2);
    }
    for (int i = 0; i < sums; ++i) {
      if (rows.d_head.data != nullptr)
        head_sum[i] = arena.take<float>(rows.head.rows * rows.head.columns);
      if (rows.d_bias.data != nullptr) bias_sum[i] = arena.take<float>(rows.head.rows);
    }
    pair_bytes = pair_loss_workspace(pairs.pairs());
    pair = arena.take(1, pair_bytes);
    product = arena.take(product_bytes, 1);
    bytes = arena.used();
  }

  std::int64_t* label;
  double *logit, *log_prob, *lse_others, *coefficient;
  double* counted;  // by pair: 1, or 0 if it does not count
  double *reference_logit = nullptr, *reference_log_prob = nullptr;
  SequenceSums reference{};
  // A long pair's gradients without their scale, and the scales.
  float *head_sum[2]{}, *bias_sum[2]{};
  double* factor = nullptr;
  std::int64_t* side_label = nullptr;
  void *hidden, *logits, *d_hidden = nullptr, *row, *pair, *product;
  std::size_t row_bytes, pair_bytes, bytes;
};

}  // namespace sp2dpo::cuda
