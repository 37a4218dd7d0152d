// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>

#include "sequence_arrays.hpp"

#include <sp2dpo/cpu/hidden.hpp>
#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/loss/detail/check_rows.hpp>

namespace sp2dpo::cpu {
namespace {

using detail::sum_type;

/// Returns the first pair that no longer fits into a chunk starting with `pair`; `pair` itself if
/// it is longer than a chunk.
std::int64_t chunk_end(const PairRows& pairs, std::int64_t pair, std::int64_t chunk_rows) {
  std::int64_t end = pair;
  while (end < pairs.pairs() && pairs.select(pair, end + 1).count <= chunk_rows) ++end;
  return end;
}

/// Multiplies these rows of a gradient; by 0 even where they are NaN.
void scale_rows(const Matrix& m, const RowSelection& rows, double scale, const Executor& executor) {
  executor(rows.count, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = rows[i] * m.stride, last = j + m.columns; j < last; ++j) {
        const double product = scale * detail::load(m.data, m.dtype, j);
        detail::store(m.data, m.dtype, j, scale == 0 && std::isnan(product) ? 0 : product);
      }
  });
}

/// The buffers of one chunk, and the passes over the rows in it.
class Chunk {
 public:
  Chunk(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
        detail::Arena& arena, const MatrixProduct& product, const Executor& executor)
      : rows_(rows),
        product_(product),
        executor_(executor),
        dtype_(rows.hidden.dtype),
        width_(rows.hidden.columns),
        vocab_(rows.head.rows),
        max_rows_(std::min(chunk_rows, std::ssize(pairs.rows()))),
        part_rows_(std::min(
            vocab_, std::max<std::int64_t>(1, part_elements / std::max<std::int64_t>(1, width_)))) {
    const std::size_t bytes = size_of(dtype_);
    hidden_ = arena.take(max_rows_ * width_, bytes);
    logits_ = arena.take(max_rows_ * vocab_, bytes);
    label_ = arena.take<std::int64_t>(max_rows_);
    logit_ = arena.take<double>(max_rows_);
    log_prob_ = arena.take<double>(max_rows_);
    lse_others_ = arena.take<double>(max_rows_);
    logit_sum_ = arena.take<double>(max_rows_);
    coefficient_ = arena.take<double>(max_rows_);
    if (rows.d_hidden.data != nullptr) d_hidden_ = arena.take(max_rows_ * width_, bytes);
    if (rows.d_head.data != nullptr && rows.d_head.dtype != dtype_)
      d_head_ = arena.take(part_rows_ * width_, bytes);
    if (pairs.longest() > chunk_rows) {
      const std::size_t sum_bytes = size_of(sum_type(dtype_));
      for (const auto side : {PairRows::chosen, PairRows::rejected}) {
        if (rows.d_head.data != nullptr) head_sum_[side] = arena.take(vocab_ * width_, sum_bytes);
        if (rows.d_bias.data != nullptr) bias_sum_[side] = arena.take(vocab_, sum_bytes);
      }
    }
  }

  /// Loads hidden states and labels of these rows, and computes logits and the labels' exact
  /// logits.
  void load(const RowSelection& selection) {
    list_ = selection.list + selection.first;
    count_ = selection.count;
    const Matrix hidden = matrix(hidden_, width_);
    gather_rows(rows_.hidden, list_, hidden, executor_);
    for (std::int64_t i = 0; i < count_; ++i) label_[i] = rows_.labels.label[list_[i]];
    label_logits(as_const(hidden), rows_.head, rows_.bias, {label_, rows_.labels.ignored},
                 {0, count_}, logit_, executor_);
    const Matrix logits = matrix(logits_, vocab_);
    if (rows_.bias != nullptr) spread(rows_.bias, logits);
    product_({as_const(hidden)}, {rows_.head, true}, logits, rows_.bias != nullptr);
  }

  /// Computes statistics of the rows, and writes them by row number.
  void log_probs(const RowStatistics& out) {
    row_log_probs(logit_rows(), labels(), {0, count_}, statistics(out), executor_);
    scatter(out);
  }

  /// Does the same, and turns the logits into the gradient of coefficient · log-probability.
  void unit_gradient(const RowStatistics& out, double coefficient) {
    choose_unit(std::fabs(coefficient));
    std::fill_n(coefficient_, count_, unit_ * coefficient);
    row_log_probs_and_gradient(logit_rows(), labels(), {0, count_}, statistics(out), coefficient_,
                               {logits_, {.stride = vocab_}}, MaskedRows::zero, executor_);
    scatter(out);
  }

  /// Turns the logits into the gradient, with the batch's coefficients. Rows with coefficient 0 do
  /// not reach the head's gradient, even if their hidden states are NaN.
  void gradient(const double* coefficient) {
    double largest = 0;
    for (std::int64_t i = 0; i < count_; ++i) {
      coefficient_[i] = coefficient[list_[i]];
      largest = std::max(largest, std::fabs(coefficient_[i]));
      if (coefficient_[i] == 0)
        std::memset(element(hidden_, i * width_), 0,
                    static_cast<std::size_t>(width_) * size_of(dtype_));
    }
    choose_unit(largest);
    for (std::int64_t i = 0; i < count_; ++i) coefficient_[i] *= unit_;
    row_gradient(logit_rows(), labels(), {0, count_}, lse_others_, coefficient_,
                 {logits_, {.stride = vocab_}}, MaskedRows::zero, executor_);
  }

  /// Goes from the gradient by the logits to those by hidden states, head and bias.
  void backward(const Matrix& d_head, const Matrix& d_bias, bool add = true) {
    const ConstMatrix d_logits = as_const(matrix(logits_, vocab_));
    if (rows_.d_hidden.data != nullptr) {
      const Matrix d_hidden = matrix(d_hidden_, width_);
      product_({d_logits}, {rows_.head}, d_hidden);
      if (unit_ == 1 && rows_.d_hidden.dtype == dtype_)
        scatter_rows(as_const(d_hidden), list_, rows_.d_hidden, executor_);
      else
        scatter_scaled(as_const(d_hidden), 1 / unit_);
    }
    if (d_head.data != nullptr) {
      const ConstMatrix hidden = as_const(matrix(hidden_, width_));
      if (d_head_ == nullptr) {
        product_({d_logits, true}, {hidden}, d_head, add);
        if (unit_ != 1) scale_rows(d_head, {0, d_head.rows}, 1 / unit_, executor_);
      } else {
        if (!add) zero(d_head);
        for (std::int64_t first = 0; first < vocab_; first += part_rows_) {
          const std::int64_t rows = std::min(part_rows_, vocab_ - first);
          const ConstMatrix columns{element(logits_, first), dtype_, count_, rows, vocab_};
          const Matrix part{d_head_, dtype_, rows, width_, width_};
          product_({columns, true}, {hidden}, part);
          accumulate(rows_from(d_head, first, rows), as_const(part), 1 / unit_, executor_);
        }
      }
    }
    if (d_bias.data != nullptr) {
      if (!add) zero(d_bias);
      for (std::int64_t i = 0; i < count_; ++i)
        accumulate(d_bias, {element(logits_, i * vocab_), dtype_, 1, vocab_, vocab_}, 1 / unit_,
                   executor_);
    }
  }

  /// Clears a gradient before other chunks are added to it.
  void zero(const Matrix& m) const {
    if (m.data == nullptr) return;
    const std::size_t element = size_of(m.dtype);
    executor_(m.rows, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        std::memset(static_cast<char*>(m.data) + static_cast<std::size_t>(row * m.stride) * element,
                    0, static_cast<std::size_t>(m.columns) * element);
    });
  }

  /// Returns the zeroed sums of a long pair's gradients, one for each sequence.
  Matrix head_sum(PairRows::Side side) { return zeroed(head_sum_[side], vocab_, width_); }
  Matrix bias_sum(PairRows::Side side) { return zeroed(bias_sum_[side], 1, vocab_); }

 private:
  [[nodiscard]] Matrix matrix(void* data, std::int64_t columns) const {
    return {data, dtype_, count_, columns, columns};
  }
  [[nodiscard]] Matrix zeroed(void* data, std::int64_t rows, std::int64_t columns) const {
    const Matrix sum{data, sum_type(dtype_), rows, columns, columns};
    zero(sum);
    return sum;
  }
  [[nodiscard]] void* element(void* data, std::int64_t i) const {
    return static_cast<char*>(data) + static_cast<std::size_t>(i) * size_of(dtype_);
  }
  static Matrix rows_from(const Matrix& m, std::int64_t first, std::int64_t rows) {
    const auto offset = static_cast<std::size_t>(first * m.stride) * size_of(m.dtype);
    return {static_cast<char*>(m.data) + offset, m.dtype, rows, m.columns, m.stride};
  }
  [[nodiscard]] LogitRows logit_rows() const {
    return {.data = logits_,
            .dtype = dtype_,
            .rows = count_,
            .vocab = vocab_,
            .padded_vocab = vocab_,
            .layout = {.stride = vocab_}};
  }
  [[nodiscard]] RowLabels labels() const { return {label_, rows_.labels.ignored, logit_}; }
  [[nodiscard]] RowStatistics statistics(const RowStatistics& out) const {
    return {log_prob_, lse_others_, out.logit_sum == nullptr ? nullptr : logit_sum_};
  }

  /// Chooses the power of two that the gradient by the logits is multiplied by, until a sum in a
  /// wider type divides it out again: in float16, a probability of 1e-5 times a slope of 1e-3 is 0.
  /// The bounds keep the products in range. `largest` is that of the rows' coefficients.
  void choose_unit(double largest) {
    unit_ = 1;
    if (dtype_ != DType::float16) return;
    constexpr double limit = 16384;
    if (head_max_ < 0) head_max_ = largest_of(rows_.head);
    const double bound =
        std::max({1.0, 2 * head_max_,
                  static_cast<double>(count_) * largest_of(as_const(matrix(hidden_, width_)))});
    const double unit = std::exp2(std::floor(std::log2(limit / bound / largest)));
    // A float, in which sums are scaled, holds the inverse of 2^100.
    if (unit > 1 && std::isfinite(unit)) unit_ = std::min(unit, 0x1p100);
  }

  /// Returns the largest absolute value of a float16 matrix.
  static double largest_of(const ConstMatrix& m) {
    std::uint16_t largest = 0;  // magnitudes are in the order of their bits
    for (std::int64_t i = 0; i < m.rows; ++i) {
      const auto* const row = static_cast<const std::uint16_t*>(m.data) + i * m.stride;
      for (std::int64_t j = 0; j < m.columns; ++j)
        largest = std::max(largest, static_cast<std::uint16_t>(row[j] & 0x7fff));
    }
    return detail::float_from_float16(largest);
  }

  /// Writes scale · the chunk's rows to the gradient by hidden states.
  void scatter_scaled(const ConstMatrix& in, double scale) const {
    const Matrix& out = rows_.d_hidden;
    executor_(in.rows, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < in.columns; ++j)
          detail::store(out.data, out.dtype, list_[i] * out.stride + j,
                        scale * detail::load(in.data, in.dtype, i * in.stride + j));
    });
  }

  void spread(const void* row, const Matrix& out) const {
    const std::size_t bytes = static_cast<std::size_t>(out.columns) * size_of(dtype_);
    executor_(count_, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        std::memcpy(element(out.data, i * out.stride), row, bytes);
    });
  }

  void scatter(const RowStatistics& out) const {
    for (std::int64_t i = 0; i < count_; ++i) {
      if (out.log_prob != nullptr) out.log_prob[list_[i]] = log_prob_[i];
      if (out.lse_others != nullptr) out.lse_others[list_[i]] = lse_others_[i];
      if (out.logit_sum != nullptr) out.logit_sum[list_[i]] = logit_sum_[i];
    }
  }

  const HiddenRows& rows_;
  const MatrixProduct& product_;
  const Executor& executor_;
  const DType dtype_;
  const std::int64_t width_, vocab_;
  const std::int64_t max_rows_;  // that the buffers hold

  double unit_ = 1;                     // see choose_unit()
  double head_max_ = -1;                // unknown yet
  const std::int64_t* list_ = nullptr;  // the rows in the chunk
  std::int64_t count_ = 0;

  void* hidden_ = nullptr;
  void* logits_ = nullptr;  // then the gradient by them
  void* d_hidden_ = nullptr;
  // Part of the product in the narrow type, for a sum in a wider one: small enough to be still in
  // the cache when it is added.
  static constexpr std::int64_t part_elements = std::int64_t{4} << 20;
  const std::int64_t part_rows_;
  void* d_head_ = nullptr;
  void* head_sum_[2]{};
  void* bias_sum_[2]{};
  std::int64_t* label_ = nullptr;
  double* logit_ = nullptr;
  double* log_prob_ = nullptr;
  double* lse_others_ = nullptr;
  double* logit_sum_ = nullptr;
  double* coefficient_ = nullptr;
};

void check(const char* call, const HiddenRows& rows, const PairRows& pairs,
           std::int64_t chunk_rows) {
  detail::check_chunk(call, chunk_rows);
  detail::check_hidden(call, rows, pairs, std::ssize(pairs.rows()) <= chunk_rows,
                       {.dense = false, .wide_hidden = true});
  detail::check_labels(call, rows.labels, pairs.select(0, pairs.pairs()), rows.hidden.rows,
                       rows.head.rows);
}

void zero_rows(const Matrix& matrix, const std::vector<std::int64_t>& rows) {
  const std::size_t element = size_of(matrix.dtype);
  for (const std::int64_t row : rows)
    std::memset(
        static_cast<char*>(matrix.data) + static_cast<std::size_t>(row * matrix.stride) * element,
        0, static_cast<std::size_t>(matrix.columns) * element);
}

/// Takes a pair longer than a chunk through in parts.
void long_pair(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t pair,
               std::int64_t chunk_rows, Chunk& chunk, const SequenceOutputs& arrays, PairStep& step,
               const Executor& executor) {
  // Opposite slopes need one sum only: its rejected part goes in with the other sign.
  const bool opposite = loss.objective.is_function_of_z() && !loss.average_log_prob &&
                        loss.nll_scale == 0 && loss.rows.complete(pair);
  Matrix head_sum[2]{};
  Matrix bias_sum[2]{};
  for (const auto side : {PairRows::chosen, PairRows::rejected}) {
    const bool shared = opposite && side == PairRows::rejected;
    head_sum[side] = shared ? head_sum[0] : chunk.head_sum(side);
    bias_sum[side] = shared ? bias_sum[0] : chunk.bias_sum(side);
    const RowSelection sequence = loss.rows.select(pair, side);
    for (std::int64_t first = 0; first < sequence.count; first += chunk_rows) {
      chunk.load(
          {sequence.first + first, std::min(chunk_rows, sequence.count - first), sequence.list});
      chunk.unit_gradient(arrays.rows, shared ? -1 : 1);
      chunk.backward(head_sum[side], bias_sum[side]);
    }
  }

  step(pair, pair + 1);
  for (const auto side : {PairRows::chosen, PairRows::rejected}) {
    const RowSelection sequence = loss.rows.select(pair, side);
    if (sequence.count == 0) continue;
    const double slope = arrays.coefficient[sequence[0]];
    const bool shared = opposite && side == PairRows::rejected;
    if (rows.d_hidden.data != nullptr)
      scale_rows(rows.d_hidden, sequence, (shared ? -1 : 1) * slope, executor);
    if (shared) continue;      // added with the chosen sequence's, above
    if (slope == 0) continue;  // a pair that does not count, whose numbers may be NaN
    if (head_sum[side].data != nullptr)
      accumulate(rows.d_head, as_const(head_sum[side]), slope, executor);
    if (bias_sum[side].data != nullptr)
      accumulate(rows.d_bias, as_const(bias_sum[side]), slope, executor);
  }
}

}  // namespace

std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes) {
  const std::int64_t row_bytes = static_cast<std::int64_t>(size_of(rows.hidden.dtype)) *
                                 (rows.head.rows + 2 * rows.hidden.columns);
  return std::max<std::int64_t>(1, bytes / row_bytes);
}

std::size_t hidden_workspace(const HiddenRows& rows, const PairRows& pairs,
                             std::int64_t chunk_rows) {
  const auto product = [](const auto&, const auto&, const Matrix&, bool) {};
  detail::Arena arena(nullptr, workspace_alignment);
  (void)arrays_of({}, rows.hidden.rows, pairs.pairs(), arena);
  const Chunk chunk(rows, pairs, chunk_rows, arena, product, {});
  return arena.used();
}

void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
                      void* workspace, const RowStatistics& out, const MatrixProduct& product,
                      const Executor& executor) {
  check("cpu::hidden_log_probs", rows, pairs, chunk_rows);
  detail::Arena arena(workspace, workspace_alignment);
  Chunk chunk(rows, pairs, chunk_rows, arena, product, executor);
  const RowSelection all = pairs.select(0, pairs.pairs());
  for (std::int64_t first = 0; first < all.count; first += chunk_rows) {
    chunk.load({first, std::min(chunk_rows, all.count - first), all.list});
    chunk.log_probs(out);
  }
}

LossSum hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t chunk_rows,
                    void* workspace, const SequenceOutputs& out, const MatrixProduct& product,
                    const Executor& executor) {
  constexpr const char* call = "cpu::hidden_loss";
  check(call, rows, loss.rows, chunk_rows);
  detail::check_inputs(call, loss);
  detail::require(workspace != nullptr || loss.rows.pairs() == 0, "{}: workspace is null", call);
  detail::Arena arena(workspace, workspace_alignment);
  SequenceOutputs arrays = arrays_of(out, rows.hidden.rows, loss.rows.pairs(), arena);
  arrays.rows.lse_others = out.rows.lse_others;  // the chunk has its own
  PairStep step(call, loss, out, arrays);
  Chunk chunk(rows, loss.rows, chunk_rows, arena, product, executor);

  if (rows.d_hidden.data != nullptr) zero_rows(rows.d_hidden, loss.rows.others(rows.hidden.rows));
  const bool wants_gradient =
      rows.d_hidden.data != nullptr || rows.d_head.data != nullptr || rows.d_bias.data != nullptr;
  bool add = rows.add;
  for (std::int64_t pair = 0, end = 0; pair < loss.rows.pairs(); pair = end) {
    end = chunk_end(loss.rows, pair, chunk_rows);
    if (end == pair) {
      if (!add) chunk.zero(rows.d_head), chunk.zero(rows.d_bias);
      add = true;
      long_pair(rows, loss, pair, chunk_rows, chunk, arrays, step, executor);
      end = pair + 1;
      continue;
    }
    const RowSelection selection = loss.rows.select(pair, end);
    if (selection.count > 0) {
      chunk.load(selection);
      chunk.log_probs(arrays.rows);
    }
    step(pair, end);
    if (selection.count == 0 || !wants_gradient) continue;
    chunk.gradient(arrays.coefficient);
    chunk.backward(rows.d_head, rows.d_bias, add);
    add = true;
  }
  if (!add) chunk.zero(rows.d_head), chunk.zero(rows.d_bias);
  return step.sum();
}

}  // namespace sp2dpo::cpu
