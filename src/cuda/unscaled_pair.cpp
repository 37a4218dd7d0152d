// SPDX-License-Identifier: Apache-2.0
#include "unscaled_pair.hpp"

#include <algorithm>

#include "hidden_kernels.hpp"

#include <sp2dpo/cuda/rows.hpp>

namespace sp2dpo::cuda {

UnscaledPair::UnscaledPair(HiddenChunks& chunks, const HiddenJob& job, const SequenceLoss& loss,
                           const PairGroup& group, Stream stream)
    : chunks_(chunks),
      at_(chunks.at),
      job_(job),
      loss_(loss),
      group_(group),
      one_sum_(sums_of(job, loss) == 1),
      two_sums_(sums_of(job, loss) == 2),
      stream_(stream) {
  // A length near the sequences' own, so that narrow types hold what is divided by a length.
  if (one_sum_ && group.batch.average)
    unit_ = static_cast<double>(
        std::max<std::int64_t>(1, std::min(loss.rows.count(group.begin, PairRows::chosen),
                                           loss.rows.count(group.begin, PairRows::rejected))));
}

void UnscaledPair::make() {
  const RowSelection all = loss_.rows.select(group_.begin, group_.end);
  // For the lengths alone; log-probabilities do not exist yet.
  launch::zero(at_.log_prob + all.first, static_cast<std::size_t>(all.count) * sizeof(double),
               stream_);
  sequence_log_probs(group_.batch, at_.log_prob, /*empty_allowed=*/true, group_.sums, stream_);
  SequenceRows batch = group_.batch;
  batch.average = one_sum_ && batch.average;
  row_coefficients(batch, group_.sums, unit_, one_sum_ ? -unit_ : unit_, 1.0, 0, at_.coefficient,
                   stream_);
  const auto make_rows = [&](const RowSelection& rows, int sum) {
    bool add = false;
    for_each_part(rows, job_.chunk_rows, [&](std::int64_t first, std::int64_t count) {
      chunks_.load_with_gradient(first, count);
      chunks_.backward({at_.head_sum[sum], DType::float32, job_.rows.head.rows,
                        job_.rows.head.columns, job_.rows.head.columns},
                       at_.bias_sum[sum], add);
      add = true;
    });
  };
  if (!two_sums_) return make_rows(all, 0);
  for (const auto side : {PairRows::chosen, PairRows::rejected})
    make_rows(loss_.rows.select(group_.begin, side), side);
}

void UnscaledPair::scale(const PairValues& d_chosen, const PairValues& d_rejected,
                         const PairValues& upstream, bool add) {
  // One sum has no nll_scale, and a pair that does not count has slopes of 0.
  const auto coefficients = [&](SequenceRows batch, double* out) {
    batch.average = group_.batch.average && !one_sum_;
    row_coefficients(batch, group_.sums, d_chosen, one_sum_ ? d_chosen : d_rejected,
                     one_sum_ ? 1 / unit_ : upstream, loss_.nll_scale, out, stream_);
  };
  if (job_.rows.d_hidden.data != nullptr) {
    const RowSelection all = loss_.rows.select(group_.begin, group_.end);
    coefficients(group_.batch, at_.coefficient);
    launch::scale_rows(job_.rows.d_hidden, job_.lists.rows + all.first, at_.coefficient + all.first,
                       all.count, stream_);
  }
  if (at_.factor == nullptr) return;
  // The coefficients of two sequences of one row each, which counts.
  launch::zero(at_.side_label, 2 * sizeof(std::int64_t), stream_);
  coefficients({{.count = 2, .length = 1, .layout = Sequences::Layout::interleaved},
                {.label = at_.side_label, .ignored = -1}},
               at_.factor);
  const auto add_sums = [&](float* const(&sum)[2], const Matrix& out) {
    const auto of = [&](PairRows::Side side) {
      return loss_.rows.count(group_.begin, side) > 0 ? sum[side] : nullptr;
    };
    if (out.data != nullptr)
      launch::add_scaled(one_sum_ ? sum[0] : of(PairRows::chosen),
                         one_sum_ ? nullptr : of(PairRows::rejected), at_.factor,
                         static_cast<float*>(out.data), out.rows * out.columns, add, stream_);
  };
  add_sums(at_.head_sum, job_.rows.d_head);
  add_sums(at_.bias_sum, job_.rows.d_bias);
}

}  // namespace sp2dpo::cuda
