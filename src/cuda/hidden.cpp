// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "hidden_buffers.hpp"
#include "hidden_chunks.hpp"
#include "hidden_kernels.hpp"
#include "row_kernels.hpp"
#include "unscaled_pair.hpp"

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/detail/check_hidden.hpp>

namespace sp2dpo::cuda {
namespace {

using detail::require;

void check_matrices(const char* call, const HiddenJob& job, const PairRows& pairs, bool one_chunk) {
  detail::check_chunk(call, job.chunk_rows);
  require(job.rows.hidden.dtype != DType::float64,
          "{}: hidden is float64; expected float16, bfloat16 or float32", call);
  detail::check_hidden(call, job.rows, pairs, one_chunk, {.dense = true});
}

void check_loss(const char* call, const HiddenJob& job, const SequenceLoss& loss,
                const HiddenOutputs& out) {
  const ConstMatrix& reference = job.reference;
  const bool with_reference = reference.data != nullptr;
  detail::check_inputs(call, loss, with_reference);
  check_sums(call, "out.sums", out.sums);
  require(out.d_chosen != nullptr, "{}: out.d_chosen is null", call);
  require(out.d_rejected != nullptr, "{}: out.d_rejected is null", call);
  detail::check_slopes(call, loss, out.d_chosen, out.d_rejected);
  if (!with_reference) return;
  const ConstMatrix& hidden = job.rows.hidden;
  require(reference.dtype == hidden.dtype && reference.rows == hidden.rows &&
              reference.columns == hidden.columns,
          "{}: reference is {} [{}, {}]; expected {} [{}, {}] as the policy's hidden states", call,
          name_of(reference.dtype), reference.rows, reference.columns, name_of(hidden.dtype),
          hidden.rows, hidden.columns);
  detail::check_stride(call, "reference", reference);
}

void zero(const Matrix& m, Stream stream) {
  if (m.data != nullptr)
    launch::zero(m.data, static_cast<std::size_t>(m.rows * m.columns) * size_of(m.dtype), stream);
}

/// Returns the sequences of the pairs in [begin, end), whose rows are by index among those that
/// count.
SequenceRows sequences_of(const HiddenJob& job, std::int64_t begin, std::int64_t end,
                          const std::int64_t* label, bool average) {
  return {{.count = 2 * (end - begin),
           .cu_seqlens = job.lists.bounds + 2 * begin,
           .layout = Sequences::Layout::interleaved},
          {label, job.rows.labels.ignored},
          average};
}

/// Returns `job` as hidden_log_probs takes it.
HiddenJob without_gradients(HiddenJob job) {
  job.rows.d_hidden = job.rows.d_head = job.rows.d_bias = {};
  job.reference = {};
  return job;
}

/// One call of hidden_loss, which takes one group of pairs after the other.
class Groups {
 public:
  Groups(const char* call, const HiddenJob& job, const SequenceLoss& loss, const HiddenOutputs& out,
         const RowMemory& memory, MatrixProducts& products, Stream stream)
      : job_(job),
        loss_(loss),
        out_(out),
        stream_(stream),
        chunks_(call, job, loss.rows, sums_of(job, loss), memory, products, stream),
        at_(chunks_.at),
        wants_gradient_(job.rows.d_hidden.data || job.rows.d_head.data || job.rows.d_bias.data),
        add_(job.rows.add) {}

  void run() {
    const PairRows& pairs = loss_.rows;
    zero(job_.rows.d_hidden, stream_);
    for (std::int64_t begin = 0, end = 0; begin < pairs.pairs(); begin = end) {
      while (end < pairs.pairs() && pairs.select(begin, end + 1).count <= job_.chunk_rows) ++end;
      const bool in_parts = end == begin;  // a pair longer than a chunk
      if (in_parts) ++end;
      take(group(begin, end), in_parts);
    }
    if (!add_) zero(job_.rows.d_head, stream_), zero(job_.rows.d_bias, stream_);
  }

 private:
  [[nodiscard]] PairGroup group(std::int64_t begin, std::int64_t end) const {
    const SequenceSums& sums = out_.sums;
    return {begin,
            end,
            sequences_of(job_, begin, end, at_.label, loss_.average_log_prob),
            {sums.chosen + begin, sums.rejected + begin, sums.chosen_row_counts + begin,
             sums.rejected_row_counts + begin}};
  }

  void take(const PairGroup& group, bool in_parts) {
    const RowSelection rows = loss_.rows.select(group.begin, group.end);
    std::optional<UnscaledPair> unscaled;
    if (in_parts && wants_gradient_ && job_.long_pairs == LongPairs::by_side)
      unscaled.emplace(chunks_, job_, loss_, group, stream_);
    if (unscaled)
      unscaled->make();
    else
      for_each_part(rows, job_.chunk_rows, [&](std::int64_t first, std::int64_t count) {
        chunks_.load_with_log_probs(first, count);
      });
    const PairValues upstream = pair_step(group);
    if (rows.count == 0 || !wants_gradient_) return;

    const PairValues d_chosen{out_.d_chosen + group.begin, DType::float64};
    const PairValues d_rejected{out_.d_rejected + group.begin, DType::float64};
    if (unscaled) {
      unscaled->scale(d_chosen, d_rejected, upstream, add_);
      add_ = true;
      return;
    }
    row_coefficients(group.batch, group.sums, d_chosen, d_rejected, upstream, loss_.nll_scale,
                     at_.coefficient, stream_);
    for_each_part(rows, job_.chunk_rows, [&](std::int64_t first, std::int64_t count) {
      if (in_parts) chunks_.load(first, count);  // the logits of all but the last part are gone
      chunks_.make_gradient();
      chunks_.backward(job_.rows.d_head, static_cast<float*>(job_.rows.d_bias.data), add_);
      add_ = true;
    });
  }

  /// Computes losses and slopes from log-probabilities. Returns 1 for pairs that count, 0 for
  /// others.
  PairValues pair_step(const PairGroup& group) {
    const auto [begin, end, batch, sums] = group;
    sequence_log_probs(batch, at_.log_prob, job_.lists.empty_allowed, sums, stream_);
    PairInputs inputs = loss_.inputs.from(begin);
    inputs.policy_chosen = {sums.chosen, DType::float64};
    inputs.policy_rejected = {sums.rejected, DType::float64};
    if (job_.reference.data != nullptr) {
      const SequenceSums& reference = at_.reference;
      sequence_log_probs(batch, at_.reference_log_prob, /*empty_allowed=*/true, reference, stream_);
      inputs.reference_chosen = {reference.chosen, DType::float64};
      inputs.reference_rejected = {reference.rejected, DType::float64};
    }
    const PairOutputs outputs = loss_.outputs.from(begin);
    pair_loss({.in = inputs,
               .out = outputs,
               .pairs = end - begin,
               .workspace = at_.pair,
               .workspace_bytes = at_.pair_bytes},
              loss_.objective, stream_);
    if (!loss_.skip_incomplete) return 1.0;
    launch::skip_incomplete(sums.chosen_row_counts, sums.rejected_row_counts, end - begin, outputs,
                            at_.counted + begin, stream_);
    return {at_.counted + begin, DType::float64};
  }

  const HiddenJob& job_;
  const SequenceLoss& loss_;
  const HiddenOutputs& out_;
  const Stream stream_;
  HiddenChunks chunks_;
  const HiddenBuffers& at_;
  const bool wants_gradient_;
  bool add_;  // whether gradients are added to what head and bias hold
};

}  // namespace

std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes, bool with_reference) {
  const std::int64_t each = rows.head.rows + rows.hidden.columns;
  const std::int64_t row_bytes = static_cast<std::int64_t>(size_of(rows.hidden.dtype)) *
                                 ((with_reference ? 2 * each : each) + rows.hidden.columns);
  return std::max<std::int64_t>(1, (bytes - product_bytes) / row_bytes);
}

std::size_t hidden_workspace(const HiddenJob& job, const SequenceLoss& loss) {
  return HiddenBuffers(job, loss.rows, sums_of(job, loss), nullptr).bytes;
}

std::size_t hidden_workspace(const HiddenJob& job, const PairRows& pairs) {
  return HiddenBuffers(without_gradients(job), pairs, 0, nullptr).bytes;
}

void hidden_log_probs(const HiddenJob& given, const PairRows& pairs, bool average,
                      const SequenceSums& out, const RowMemory& memory, MatrixProducts& products,
                      Stream stream) {
  constexpr const char* call = "cuda::hidden_log_probs";
  if (pairs.pairs() == 0) return;
  const HiddenJob job = without_gradients(given);
  check_matrices(call, job, pairs, true);
  check_sums(call, "out", out);
  HiddenChunks chunks(call, job, pairs, 0, memory, products, stream);
  const auto count = std::ssize(pairs.rows());
  for (std::int64_t first = 0; first < count; first += job.chunk_rows)
    chunks.load_with_log_probs(first, std::min(job.chunk_rows, count - first));
  sequence_log_probs(sequences_of(job, 0, pairs.pairs(), chunks.at.label, average),
                     chunks.at.log_prob, /*empty_allowed=*/true, out, stream);
}

void hidden_loss(const HiddenJob& job, const SequenceLoss& loss, const HiddenOutputs& out,
                 const RowMemory& memory, MatrixProducts& products, Stream stream) {
  constexpr const char* call = "cuda::hidden_loss";
  if (loss.rows.pairs() == 0) return;
  check_matrices(call, job, loss.rows, std::ssize(loss.rows.rows()) <= job.chunk_rows);
  check_loss(call, job, loss, out);
  Groups(call, job, loss, out, memory, products, stream).run();
}

}  // namespace sp2dpo::cuda
