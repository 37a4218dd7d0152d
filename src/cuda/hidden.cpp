// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "hidden_kernels.hpp"
#include "row_kernels.hpp"

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/detail/arena.hpp>

namespace sp2dpo::cuda {
namespace {

using detail::require;

constexpr std::size_t alignment = 256;  // cuBLASLt's fastest algorithms want it
constexpr std::int64_t product_bytes = std::int64_t{32} << 20;

/// Numbers by the place of a row among those that count, and the buffers of one chunk of them.
struct Buffers {
  Buffers(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
          bool with_reference, int sums, void* workspace) {
    const auto count = std::ssize(pairs.rows());
    const std::int64_t most = std::min(chunk_rows, count);
    const std::int64_t together = with_reference ? 2 * most : most;
    const std::size_t element = size_of(rows.hidden.dtype);
    detail::Arena arena(workspace, alignment);
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
    if (rows.d_hidden.data != nullptr) d_hidden = arena.take(most * rows.hidden.columns, element);
    // row_workspace is no larger for any number of rows up to `most`.
    row_bytes = static_cast<std::size_t>(512 + most) * sizeof(launch::PartialSum);
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
  double* counted;  // by pair: 1, or 0 where it does not count
  double *reference_logit = nullptr, *reference_log_prob = nullptr;
  SequenceSums reference{};
  // Of a long pair: gradients without their scale, and the scales.
  float *head_sum[2]{}, *bias_sum[2]{};
  double* factor = nullptr;
  std::int64_t* side_label = nullptr;
  void *hidden, *logits, *d_hidden = nullptr, *row, *pair, *product;
  std::size_t row_bytes, pair_bytes, bytes;
};

void check_gradient(const char* call, const char* name, const Matrix& m, std::int64_t rows,
                    std::int64_t columns, DType dtype) {
  require(m.data == nullptr ||
              (m.rows == rows && m.columns == columns && m.dtype == dtype && m.stride == columns),
          "{}: {} is {} [{}, {}] with {} elements from row to row, not a dense {} [{}, {}]", call,
          name, name_of(m.dtype), m.rows, m.columns, m.stride, name_of(dtype), rows, columns);
}

/// A matrix of one row may have any stride.
void check_stride(const char* call, const char* name, const ConstMatrix& m) {
  require(m.rows <= 1 || m.stride >= m.columns,
          "{}: {} has {} elements from row to row, fewer than its {} columns", call, name, m.stride,
          m.columns);
}

void check_matrices(const char* call, const HiddenRows& rows, const PairRows& pairs,
                    bool one_chunk) {
  const DType dtype = rows.hidden.dtype;
  require(dtype != DType::float64, "{}: hidden is float64; float16, bfloat16 and float32 are taken",
          call);
  require(rows.hidden.data != nullptr, "{}: hidden.data is null", call);
  require(rows.head.data != nullptr, "{}: head.data is null", call);
  require(rows.labels.label != nullptr, "{}: labels.label is null", call);
  require(rows.head.dtype == dtype && rows.head.columns == rows.hidden.columns,
          "{}: the head is {} [{}, {}], the hidden states are {} [{}, {}]: they must agree in "
          "element type and width",
          call, name_of(rows.head.dtype), rows.head.rows, rows.head.columns, name_of(dtype),
          rows.hidden.rows, rows.hidden.columns);
  require(rows.head.rows > 0 && rows.head.columns > 0, "{}: the head is [{}, {}]", call,
          rows.head.rows, rows.head.columns);
  check_stride(call, "hidden", rows.hidden);
  check_stride(call, "head", rows.head);
  if (const auto last = std::ranges::max_element(pairs.rows()); last != pairs.rows().end())
    require(*last < rows.hidden.rows, "{}: row {} of hidden states that have {} rows", call, *last,
            rows.hidden.rows);
  const bool in_own_type = one_chunk && !rows.add && rows.d_head.dtype == dtype;
  check_gradient(call, "d_hidden", rows.d_hidden, rows.hidden.rows, rows.hidden.columns, dtype);
  check_gradient(call, "d_head", rows.d_head, rows.head.rows, rows.head.columns,
                 in_own_type ? dtype : DType::float32);
  check_gradient(call, "d_bias", rows.d_bias, 1, rows.head.rows, DType::float32);
}

void check_loss(const char* call, const SequenceLoss& loss, const HiddenOutputs& out,
                bool with_reference) {
  PairInputs inputs = loss.inputs;
  inputs.policy_chosen = inputs.policy_rejected = 0.0;  // made from the rows
  if (with_reference) inputs.reference_chosen = inputs.reference_rejected = 0.0;
  detail::require_inputs(call, "loss.inputs.", inputs);
  check_sums(call, "out.sums", out.sums);
  require(out.d_chosen != nullptr, "{}: out.d_chosen is null", call);
  require(out.d_rejected != nullptr, "{}: out.d_rejected is null", call);
  require(loss.outputs.d_policy_chosen == PairSink(out.d_chosen, DType::float64),
          "{}: loss.outputs.d_policy_chosen does not write a dense float64 out.d_chosen", call);
  require(loss.outputs.d_policy_rejected == PairSink(out.d_rejected, DType::float64),
          "{}: loss.outputs.d_policy_rejected does not write a dense float64 out.d_rejected", call);
}

void zero(const Matrix& m, Stream stream) {
  if (m.data != nullptr)
    launch::zero(m.data, static_cast<std::size_t>(m.rows * m.columns) * size_of(m.dtype), stream);
}

/// The passes over one chunk of rows after the other.
class Chunks {
 public:
  Chunks(const char* call, const HiddenRows& rows, const PairRows& pairs, const PairRowLists& lists,
         std::int64_t chunk_rows, const ConstMatrix& reference, int sums, const RowMemory& memory,
         MatrixProducts& products, Stream stream)
      : at(rows, pairs, chunk_rows, reference.data != nullptr, sums, memory.workspace),
        rows_(rows),
        reference_(reference),
        list_(lists.rows),
        scratch_{at.row, at.row_bytes},
        products_(products),
        stream_(stream) {
    require(lists.rows != nullptr, "{}: lists.rows is null", call);
    require(lists.bounds != nullptr, "{}: lists.bounds is null", call);
    require(memory.workspace != nullptr && memory.workspace_bytes >= at.bytes,
            "{}: chunks of {} rows want {} bytes of workspace, given are {}", call, chunk_rows,
            at.bytes, memory.workspace == nullptr ? 0 : memory.workspace_bytes);
    launch::gather_labels(rows.labels, rows.head.rows, lists.rows, std::ssize(pairs.rows()),
                          at.label, memory.bad_row, stream);
  }

  /// Hidden states and logits of the rows at these places.
  void load(std::int64_t first, std::int64_t count) {
    gather(first, count);
    make_logits(count);
  }

  /// The same, their statistics to at.logit, at.log_prob and at.lse_others; the reference's, whose
  /// logits come of the same product, to at.reference_log_prob.
  void load_with_log_probs(std::int64_t first, std::int64_t count) {
    load_with_reference(first, count);
    make_label_logits(0, at.logit);
    row_log_probs(logit_rows(), labels(at.logit), {0, count_}, statistics(), scratch_, stream_);
  }

  /// The same, and the logits become the gradient by them, with at.coefficient.
  void load_with_gradient(std::int64_t first, std::int64_t count) {
    load_with_reference(first, count);
    make_label_logits(0, at.logit);
    row_log_probs_and_gradient(logit_rows(), labels(at.logit), {0, count_}, statistics(),
                               at.coefficient + first_, gradient_rows(), MaskedRows::zero, scratch_,
                               stream_);
  }

  /// The logits become the gradient by them, with at.coefficient.
  void make_gradient() {
    row_gradient(logit_rows(), labels(at.logit), {0, count_}, at.lse_others + first_,
                 at.coefficient + first_, gradient_rows(), MaskedRows::zero, scratch_, stream_);
  }

  /// From the gradient by the logits to those by hidden states, head and bias, the last two added
  /// to `d_head` and `d_bias` or in place of what these hold.
  void backward(const Matrix& d_head, float* d_bias, bool add) {
    const ConstMatrix d_logits = as_const(logits());
    if (rows_.d_hidden.data != nullptr) {
      const Matrix d_hidden = matrix(at.d_hidden, rows_.hidden.columns);
      multiply({d_logits}, {rows_.head}, d_hidden, false);
      launch::copy_rows(as_const(d_hidden), nullptr, rows_.d_hidden, list_ + first_, count_,
                        stream_);
    }
    if (d_head.data != nullptr) multiply({d_logits, true}, {as_const(hidden())}, d_head, add);
    if (d_bias != nullptr) launch::column_sums(d_logits, d_bias, add, stream_);
  }

  const Buffers at;

 private:
  /// Of the chunk's rows, from row `from` of the buffer on.
  [[nodiscard]] Matrix matrix(void* data, std::int64_t columns, std::int64_t from = 0) const {
    const std::size_t offset = static_cast<std::size_t>(from * columns) * size_of(rows_.head.dtype);
    return {static_cast<char*>(data) + offset, rows_.head.dtype, count_, columns, columns};
  }
  [[nodiscard]] Matrix hidden(std::int64_t from = 0) const {
    return matrix(at.hidden, rows_.hidden.columns, from);
  }
  [[nodiscard]] Matrix logits(std::int64_t from = 0) const {
    return matrix(at.logits, rows_.head.rows, from);
  }
  [[nodiscard]] LogitRows logit_rows(std::int64_t from = 0) const {
    const Matrix m = logits(from);
    return {m.data, m.dtype, m.rows, m.columns, m.columns, {.stride = m.stride}};
  }
  [[nodiscard]] GradientRows gradient_rows() const {
    return {at.logits, {.stride = rows_.head.rows}};
  }
  [[nodiscard]] RowStatistics statistics() const {
    return {at.log_prob + first_, at.lse_others + first_};
  }
  [[nodiscard]] RowLabels labels(const double* logit) const {
    return {at.label + first_, rows_.labels.ignored, logit + first_};
  }
  void gather(std::int64_t first, std::int64_t count) {
    first_ = first;
    count_ = count;
    launch::copy_rows(rows_.hidden, list_ + first, hidden(), nullptr, count, stream_);
  }
  /// Of the first `count` rows of the buffer of hidden states.
  void make_logits(std::int64_t count) {
    Matrix from = hidden(), to = logits();
    from.rows = to.rows = count;
    if (rows_.bias != nullptr)
      launch::copy_rows({rows_.bias, rows_.head.dtype, 1, rows_.head.rows, 0}, nullptr, to, nullptr,
                        count, stream_);
    multiply({as_const(from)}, {rows_.head, true}, to, rows_.bias != nullptr);
  }
  void load_with_reference(std::int64_t first, std::int64_t count) {
    gather(first, count);
    if (reference_.data == nullptr) return make_logits(count);
    launch::copy_rows(reference_, list_ + first, hidden(count), nullptr, count, stream_);
    make_logits(2 * count);
    make_label_logits(count, at.reference_logit);
    row_log_probs(logit_rows(count), labels(at.reference_logit), {0, count_},
                  {at.reference_log_prob + first}, scratch_, stream_);
  }
  void make_label_logits(std::int64_t from, double* logit) {
    launch::label_logits(as_const(hidden(from)), rows_.head, rows_.bias, at.label + first_,
                         logit + first_, stream_);
  }
  void multiply(const MatrixProducts::Operand& a, const MatrixProducts::Operand& b,
                const Matrix& product, bool add) {
    products_(a, b, product, add, at.product, static_cast<std::size_t>(product_bytes), stream_);
  }

  const HiddenRows& rows_;
  const ConstMatrix reference_;
  const std::int64_t* list_;
  const RowMemory scratch_;
  MatrixProducts& products_;
  const Stream stream_;
  std::int64_t first_ = 0, count_ = 0;
};

/// How many sums the gradients of head and bias by a pair longer than a chunk go to.
int sums_of(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t chunk_rows,
            LongPairs long_pairs) {
  if (long_pairs == LongPairs::recompute || loss.rows.longest() <= chunk_rows ||
      (rows.d_head.data == nullptr && rows.d_bias.data == nullptr))
    return 0;
  return loss.objective.is_function_of_z() && loss.nll_scale == 0 ? 1 : 2;
}

/// The answers of the pairs in [begin, end), whose rows are by their places.
SequenceRows sequences_of(const PairRowLists& lists, std::int64_t begin, std::int64_t end,
                          const std::int64_t* label, const HiddenRows& rows, bool average) {
  return {{.count = 2 * (end - begin),
           .cu_seqlens = lists.bounds + 2 * begin,
           .layout = Sequences::Layout::interleaved},
          {label, rows.labels.ignored},
          average};
}

template <class F>
void for_each_part(const RowSelection& rows, std::int64_t chunk_rows, const F& f) {
  for (std::int64_t done = 0; done < rows.count; done += chunk_rows)
    f(rows.first + done, std::min(chunk_rows, rows.count - done));
}

/// A pair longer than a chunk, whose gradients are made before its loss tells their scale.
class UnscaledPair {
 public:
  UnscaledPair(Chunks& chunks, const HiddenRows& rows, const SequenceLoss& loss,
               const PairRowLists& lists, std::int64_t pair, const SequenceRows& answers,
               const SequenceSums& sums, int sum_count, Stream stream)
      : chunks_(chunks),
        at_(chunks.at),
        rows_(rows),
        pairs_(loss.rows),
        lists_(lists),
        pair_(pair),
        answers_(answers),
        sums_(sums),
        one_sum_(sum_count == 1),
        two_sums_(sum_count == 2),
        stream_(stream) {
    // By a length near the answers' own, so that narrow types hold what is over a length.
    if (one_sum_ && answers.average)
      unit_ = static_cast<double>(std::max<std::int64_t>(
          1,
          std::min(pairs_.count(pair, PairRows::chosen), pairs_.count(pair, PairRows::rejected))));
  }

  /// Log-probabilities of the rows, and the gradients: with one sum, the rejected answer's as those
  /// of the chosen one's slope.
  void make(std::int64_t chunk_rows) {
    const RowSelection all = pairs_.select(pair_, pair_ + 1);
    // The answers' lengths alone: there are no log-probabilities yet.
    launch::zero(at_.log_prob + all.first, static_cast<std::size_t>(all.count) * sizeof(double),
                 stream_);
    sequence_log_probs(answers_, at_.log_prob, /*empty_allowed=*/true, sums_, stream_);
    SequenceRows answers = answers_;
    answers.average = one_sum_ && answers.average;
    row_coefficients(answers, sums_, unit_, one_sum_ ? -unit_ : unit_, 1.0, 0, at_.coefficient,
                     stream_);
    const auto make_rows = [&](const RowSelection& rows, int sum) {
      bool add = false;
      for_each_part(rows, chunk_rows, [&](std::int64_t first, std::int64_t count) {
        chunks_.load_with_gradient(first, count);
        chunks_.backward({at_.head_sum[sum], DType::float32, rows_.head.rows, rows_.head.columns,
                          rows_.head.columns},
                         at_.bias_sum[sum], add);
        add = true;
      });
    };
    if (!two_sums_) return make_rows(all, 0);
    for (const auto side : {PairRows::chosen, PairRows::rejected})
      make_rows(pairs_.select(pair_, side), side);
  }

  /// Scales them, as row_coefficients would have scaled the rows, and adds those by head and bias
  /// to what there is or, without `add`, takes the place of it.
  void scale(const PairValues& d_chosen, const PairValues& d_rejected, const PairValues& upstream,
             double nll_scale, bool add) {
    // One sum has no nll_scale, and a pair that does not count has slopes of 0.
    const auto coefficients = [&](SequenceRows answers, double* out) {
      answers.average = answers_.average && !one_sum_;
      row_coefficients(answers, sums_, d_chosen, one_sum_ ? d_chosen : d_rejected,
                       one_sum_ ? 1 / unit_ : upstream, nll_scale, out, stream_);
    };
    if (rows_.d_hidden.data != nullptr) {
      const RowSelection all = pairs_.select(pair_, pair_ + 1);
      coefficients(answers_, at_.coefficient);
      launch::scale_rows(rows_.d_hidden, lists_.rows + all.first, at_.coefficient + all.first,
                         all.count, stream_);
    }
    if (at_.factor == nullptr) return;
    // As of two answers of one row, which counts.
    launch::zero(at_.side_label, 2 * sizeof(std::int64_t), stream_);
    coefficients({{.count = 2, .length = 1, .layout = Sequences::Layout::interleaved},
                  {.label = at_.side_label, .ignored = -1}},
                 at_.factor);
    const auto add_sums = [&](float* const(&sum)[2], const Matrix& out) {
      const auto of = [&](PairRows::Side side) {
        return pairs_.count(pair_, side) > 0 ? sum[side] : nullptr;
      };
      if (out.data != nullptr)
        launch::add_scaled(one_sum_ ? sum[0] : of(PairRows::chosen),
                           one_sum_ ? nullptr : of(PairRows::rejected), at_.factor,
                           static_cast<float*>(out.data), out.rows * out.columns, add, stream_);
    };
    add_sums(at_.head_sum, rows_.d_head);
    add_sums(at_.bias_sum, rows_.d_bias);
  }

 private:
  Chunks& chunks_;
  const Buffers& at_;
  const HiddenRows& rows_;
  const PairRows& pairs_;
  const PairRowLists& lists_;
  const std::int64_t pair_;
  const SequenceRows answers_;
  const SequenceSums sums_;
  const bool one_sum_, two_sums_;
  const Stream stream_;
  double unit_ = 1;  // a chosen row's coefficient, times the answer's length for averages
};

}  // namespace

std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes, bool with_reference) {
  const std::int64_t each = rows.head.rows + rows.hidden.columns;
  const std::int64_t row_bytes = static_cast<std::int64_t>(size_of(rows.hidden.dtype)) *
                                 ((with_reference ? 2 * each : each) + rows.hidden.columns);
  return std::max<std::int64_t>(1, (bytes - product_bytes) / row_bytes);
}

std::size_t hidden_workspace(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
                             bool with_reference) {
  return Buffers(rows, pairs, chunk_rows, with_reference, 0, nullptr).bytes;
}

std::size_t hidden_workspace(const HiddenRows& rows, const SequenceLoss& loss,
                             std::int64_t chunk_rows, bool with_reference, LongPairs long_pairs) {
  const int sums = sums_of(rows, loss, chunk_rows, long_pairs);
  return Buffers(rows, loss.rows, chunk_rows, with_reference, sums, nullptr).bytes;
}

void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, const PairRowLists& lists,
                      bool average, std::int64_t chunk_rows, const SequenceSums& out,
                      const RowMemory& memory, MatrixProducts& products, Stream stream) {
  constexpr const char* call = "cuda::hidden_log_probs";
  if (pairs.pairs() == 0) return;
  require(chunk_rows > 0, "{}: a chunk holds at least one row, not {}", call, chunk_rows);
  check_matrices(call, rows, pairs, true);
  check_sums(call, "out", out);
  Chunks chunks(call, rows, pairs, lists, chunk_rows, {}, 0, memory, products, stream);
  const auto count = std::ssize(pairs.rows());
  for (std::int64_t first = 0; first < count; first += chunk_rows)
    chunks.load_with_log_probs(first, std::min(chunk_rows, count - first));
  sequence_log_probs(sequences_of(lists, 0, pairs.pairs(), chunks.at.label, rows, average),
                     chunks.at.log_prob, /*empty_allowed=*/true, out, stream);
}

void hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, const PairRowLists& lists,
                 std::int64_t chunk_rows, const HiddenOutputs& out, const RowMemory& memory,
                 MatrixProducts& products, Stream stream, const ConstMatrix& reference,
                 LongPairs long_pairs) {
  constexpr const char* call = "cuda::hidden_loss";
  const PairRows& pairs = loss.rows;
  if (pairs.pairs() == 0) return;
  require(chunk_rows > 0, "{}: a chunk holds at least one row, not {}", call, chunk_rows);
  check_matrices(call, rows, pairs, std::ssize(pairs.rows()) <= chunk_rows);
  check_loss(call, loss, out, reference.data != nullptr);
  require(reference.data == nullptr ||
              (reference.dtype == rows.hidden.dtype && reference.rows == rows.hidden.rows &&
               reference.columns == rows.hidden.columns),
          "{}: the reference's hidden states are {} [{}, {}], not as the policy's", call,
          name_of(reference.dtype), reference.rows, reference.columns);
  if (reference.data != nullptr) check_stride(call, "reference", reference);
  const int sum_count = sums_of(rows, loss, chunk_rows, long_pairs);
  Chunks chunks(call, rows, pairs, lists, chunk_rows, reference, sum_count, memory, products,
                stream);
  const Buffers& at = chunks.at;
  const bool wants_gradient = rows.d_hidden.data || rows.d_head.data || rows.d_bias.data;
  zero(rows.d_hidden, stream);

  bool add = rows.add;
  for (std::int64_t begin = 0, end = 0; begin < pairs.pairs(); begin = end) {
    while (end < pairs.pairs() && pairs.select(begin, end + 1).count <= chunk_rows) ++end;
    const bool in_parts = end == begin;  // a pair longer than a chunk
    if (in_parts) ++end;
    const RowSelection group = pairs.select(begin, end);
    const SequenceRows answers =
        sequences_of(lists, begin, end, at.label, rows, loss.average_log_prob);
    const SequenceSums sums{out.sums.chosen + begin, out.sums.rejected + begin,
                            out.sums.chosen_row_counts + begin,
                            out.sums.rejected_row_counts + begin};
    std::optional<UnscaledPair> unscaled;
    if (in_parts && wants_gradient && long_pairs == LongPairs::by_side)
      unscaled.emplace(chunks, rows, loss, lists, begin, answers, sums, sum_count, stream);
    if (unscaled)
      unscaled->make(chunk_rows);
    else
      for_each_part(group, chunk_rows, [&](std::int64_t first, std::int64_t count) {
        chunks.load_with_log_probs(first, count);
      });
    sequence_log_probs(answers, at.log_prob, lists.empty_allowed, sums, stream);
    PairInputs inputs = loss.inputs.from(begin);
    inputs.policy_chosen = {sums.chosen, DType::float64};
    inputs.policy_rejected = {sums.rejected, DType::float64};
    if (reference.data != nullptr) {
      const SequenceSums& there = at.reference;
      sequence_log_probs(answers, at.reference_log_prob, /*empty_allowed=*/true, there, stream);
      inputs.reference_chosen = {there.chosen, DType::float64};
      inputs.reference_rejected = {there.rejected, DType::float64};
    }
    const PairOutputs outputs = loss.outputs.from(begin);
    pair_loss({.in = inputs,
               .out = outputs,
               .pairs = end - begin,
               .workspace = at.pair,
               .workspace_bytes = at.pair_bytes},
              loss.objective, stream);
    PairValues upstream = 1.0;
    if (loss.skip_incomplete) {
      launch::skip_incomplete(sums.chosen_row_counts, sums.rejected_row_counts, end - begin,
                              outputs, at.counted + begin, stream);
      upstream = {at.counted + begin, DType::float64};
    }
    if (group.count == 0 || !wants_gradient) continue;
    const PairValues d_chosen{out.d_chosen + begin, DType::float64};
    const PairValues d_rejected{out.d_rejected + begin, DType::float64};
    if (unscaled) {
      unscaled->scale(d_chosen, d_rejected, upstream, loss.nll_scale, add);
      add = true;
      continue;
    }
    row_coefficients(answers, sums, d_chosen, d_rejected, upstream, loss.nll_scale, at.coefficient,
                     stream);
    for_each_part(group, chunk_rows, [&](std::int64_t first, std::int64_t count) {
      if (in_parts) chunks.load(first, count);  // the logits of all but the last part are gone
      chunks.make_gradient();
      chunks.backward(rows.d_head, static_cast<float*>(rows.d_bias.data), add);
      add = true;
    });
  }
  if (!add) zero(rows.d_head, stream), zero(rows.d_bias, stream);
}

}  // namespace sp2dpo::cuda
