// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include <sp2dpo/cpu/hidden.hpp>
#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/detail/arena.hpp>

namespace sp2dpo::cpu {
namespace {

constexpr std::size_t alignment = 64;

DType sum_type(DType dtype) {
  return dtype == DType::float64 ? dtype : DType::float32;
}

/// The first pair that a chunk beginning with `pair` no longer holds; `pair` itself where even that
/// one is too long.
std::int64_t chunk_end(const PairRows& pairs, std::int64_t pair, std::int64_t chunk_rows) {
  std::int64_t end = pair;
  while (end < pairs.pairs() && pairs.select(pair, end + 1).count <= chunk_rows) ++end;
  return end;
}

/// The buffers of one chunk, and what is done with the rows in it.
class Chunk {
 public:
  Chunk(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows, void* workspace,
        const MatrixProduct& product, const Executor& executor)
      : rows_(rows),
        product_(product),
        executor_(executor),
        dtype_(rows.hidden.dtype),
        width_(rows.hidden.columns),
        vocab_(rows.head.rows),
        most_(std::min(chunk_rows, std::ssize(pairs.rows()))),
        part_rows_(std::min(
            vocab_, std::max<std::int64_t>(1, part_elements / std::max<std::int64_t>(1, width_)))) {
    detail::Arena arena(workspace, alignment);
    const std::size_t bytes = size_of(dtype_);
    hidden_ = arena.take(most_ * width_, bytes);
    logits_ = arena.take(most_ * vocab_, bytes);
    label_ = arena.take<std::int64_t>(most_);
    logit_ = arena.take<double>(most_);
    log_prob_ = arena.take<double>(most_);
    lse_others_ = arena.take<double>(most_);
    logit_sum_ = arena.take<double>(most_);
    coefficient_ = arena.take<double>(most_);
    if (rows.d_hidden.data != nullptr) d_hidden_ = arena.take(most_ * width_, bytes);
    if (rows.d_head.data != nullptr && rows.d_head.dtype != dtype_)
      d_head_ = arena.take(part_rows_ * width_, bytes);
    if (pairs.longest() > chunk_rows) {
      const std::size_t sum_bytes = size_of(sum_type(dtype_));
      for (const auto side : {PairRows::chosen, PairRows::rejected}) {
        if (rows.d_head.data != nullptr) head_sum_[side] = arena.take(vocab_ * width_, sum_bytes);
        if (rows.d_bias.data != nullptr) bias_sum_[side] = arena.take(vocab_, sum_bytes);
      }
    }
    bytes_ = arena.used();
  }

  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// Hidden states, logits, labels and the labels' exact logits of these rows.
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

  /// Statistics of the rows, to where they stand in the batch.
  void log_probs(const RowStatistics& out) {
    row_log_probs(logit_rows(), labels(), {0, count_}, statistics(out), executor_);
    scatter(out);
  }

  /// The same, and the logits become the gradient of coefficient · log-probability.
  void unit_gradient(const RowStatistics& out, double coefficient) {
    std::fill_n(coefficient_, count_, coefficient);
    row_log_probs_and_gradient(logit_rows(), labels(), {0, count_}, statistics(out), coefficient_,
                               {logits_, {.stride = vocab_}}, MaskedRows::zero, executor_);
    scatter(out);
  }

  /// The logits become the gradient, with the batch's coefficients.
  void gradient(const double* coefficient) {
    for (std::int64_t i = 0; i < count_; ++i) coefficient_[i] = coefficient[list_[i]];
    row_gradient(logit_rows(), labels(), {0, count_}, lse_others_, coefficient_,
                 {logits_, {.stride = vocab_}}, MaskedRows::zero, executor_);
  }

  /// From the gradient by the logits to those by hidden states, head and bias.
  void backward(const Matrix& d_head, const Matrix& d_bias, bool add = true) {
    const ConstMatrix d_logits = as_const(matrix(logits_, vocab_));
    if (rows_.d_hidden.data != nullptr) {
      const Matrix d_hidden = matrix(d_hidden_, width_);
      product_({d_logits}, {rows_.head}, d_hidden);
      scatter_rows(as_const(d_hidden), list_, rows_.d_hidden, executor_);
    }
    if (d_head.data != nullptr) {
      const ConstMatrix hidden = as_const(matrix(hidden_, width_));
      if (d_head_ == nullptr) {
        product_({d_logits, true}, {hidden}, d_head, add);
      } else {
        if (!add) zero(d_head);
        for (std::int64_t first = 0; first < vocab_; first += part_rows_) {
          const std::int64_t rows = std::min(part_rows_, vocab_ - first);
          const ConstMatrix columns{element(logits_, first), dtype_, count_, rows, vocab_};
          const Matrix part{d_head_, dtype_, rows, width_, width_};
          product_({columns, true}, {hidden}, part);
          accumulate(rows_from(d_head, first, rows), as_const(part), 1, executor_);
        }
      }
    }
    if (d_bias.data != nullptr) {
      if (!add) zero(d_bias);
      for (std::int64_t i = 0; i < count_; ++i)
        accumulate(d_bias, {element(logits_, i * vocab_), dtype_, 1, vocab_, vocab_}, 1, executor_);
    }
  }

  /// For what only sums of other chunks are to be added to.
  void zero(const Matrix& m) const {
    if (m.data == nullptr) return;
    const std::size_t element = size_of(m.dtype);
    executor_(m.rows, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        std::memset(static_cast<char*>(m.data) + static_cast<std::size_t>(row * m.stride) * element,
                    0, static_cast<std::size_t>(m.columns) * element);
    });
  }

  /// Zeroed sums of a long pair's gradients, one for each answer.
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
  const std::int64_t most_;  // rows that the buffers hold
  std::size_t bytes_ = 0;

  const std::int64_t* list_ = nullptr;  // the rows in the chunk
  std::int64_t count_ = 0;

  void* hidden_ = nullptr;
  void* logits_ = nullptr;  // then the gradient by them
  void* d_hidden_ = nullptr;
  // A part of the product in the narrow type, where the sum is in a wider one: small enough to be
  // in the cache still when it is added.
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

void check(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows) {
  using detail::require;
  require(chunk_rows > 0, "a chunk holds at least one row, not {}", chunk_rows);
  const DType dtype = rows.hidden.dtype;
  require(rows.head.dtype == dtype && rows.head.columns == rows.hidden.columns,
          "the head is {} [{}, {}], the hidden states are {} [{}, {}]: they must agree in element "
          "type and width",
          name_of(rows.head.dtype), rows.head.rows, rows.head.columns, name_of(dtype),
          rows.hidden.rows, rows.hidden.columns);
  const bool one_chunk = !rows.add && std::ssize(pairs.rows()) <= chunk_rows;
  const DType head_type = one_chunk && rows.d_head.dtype == dtype ? dtype : sum_type(dtype);
  const auto same_shape = [](const auto& a, std::int64_t m, std::int64_t n, DType type) {
    return a.data == nullptr || (a.rows == m && a.columns == n && a.dtype == type);
  };
  require(same_shape(rows.d_hidden, rows.hidden.rows, rows.hidden.columns, dtype) &&
              same_shape(rows.d_head, rows.head.rows, rows.head.columns, head_type) &&
              same_shape(rows.d_bias, 1, rows.head.rows, sum_type(dtype)),
          "a gradient has not the shape or element type of what it is the gradient of");
  for (const std::int64_t row : pairs.rows()) {
    const std::int64_t label = rows.labels.label[row];
    require(0 <= label && label < rows.head.rows,
            "label {} of row {} is outside the vocabulary [0, {}) and not {}", label, row,
            rows.head.rows, rows.labels.ignored);
  }
}

void zero_rows(const Matrix& matrix, const std::vector<std::int64_t>& rows) {
  const std::size_t element = size_of(matrix.dtype);
  for (const std::int64_t row : rows)
    std::memset(
        static_cast<char*>(matrix.data) + static_cast<std::size_t>(row * matrix.stride) * element,
        0, static_cast<std::size_t>(matrix.columns) * element);
}

/// A pair longer than a chunk.
void long_pair(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t pair,
               std::int64_t chunk_rows, Chunk& chunk, const HiddenOutputs& out, LossSum& sum,
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
    const RowSelection answer = loss.rows.select(pair, side);
    for (std::int64_t first = 0; first < answer.count; first += chunk_rows) {
      chunk.load({answer.first + first, std::min(chunk_rows, answer.count - first), answer.list});
      chunk.unit_gradient(out.rows, shared ? -1 : 1);
      chunk.backward(head_sum[side], bias_sum[side]);
    }
  }

  sequence_step(loss, pair, pair + 1, out.rows.log_prob, out.policy_chosen, out.policy_rejected,
                sum);
  row_coefficients(loss, pair, pair + 1, {out.d_chosen, DType::float64},
                   {out.d_rejected, DType::float64}, 1.0, out.coefficient);
  for (const auto side : {PairRows::chosen, PairRows::rejected}) {
    const RowSelection answer = loss.rows.select(pair, side);
    if (answer.count == 0) continue;
    const double slope = out.coefficient[answer[0]];
    const double sign = opposite && side == PairRows::rejected ? -1 : 1;
    if (rows.d_hidden.data != nullptr)
      executor(answer.count, 4, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          for (std::int64_t j = answer[i] * rows.d_hidden.stride, last = j + rows.d_hidden.columns;
               j < last; ++j)
            detail::store(rows.d_hidden.data, rows.d_hidden.dtype, j,
                          sign * slope * detail::load(rows.d_hidden.data, rows.d_hidden.dtype, j));
      });
    if (opposite && side == PairRows::rejected) continue;  // with the chosen answer's, above
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
  return Chunk(rows, pairs, chunk_rows, nullptr, product, {}).bytes();
}

void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
                      void* workspace, const RowStatistics& out, const MatrixProduct& product,
                      const Executor& executor) {
  check(rows, pairs, chunk_rows);
  Chunk chunk(rows, pairs, chunk_rows, workspace, product, executor);
  const RowSelection all = pairs.select(0, pairs.pairs());
  for (std::int64_t first = 0; first < all.count; first += chunk_rows) {
    chunk.load({first, std::min(chunk_rows, all.count - first), all.list});
    chunk.log_probs(out);
  }
}

LossSum hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t chunk_rows,
                    void* workspace, const HiddenOutputs& out, const MatrixProduct& product,
                    const Executor& executor) {
  check(rows, loss.rows, chunk_rows);
  Chunk chunk(rows, loss.rows, chunk_rows, workspace, product, executor);
  if (rows.d_hidden.data != nullptr) zero_rows(rows.d_hidden, loss.rows.others(rows.hidden.rows));
  const bool wants_gradient =
      rows.d_hidden.data != nullptr || rows.d_head.data != nullptr || rows.d_bias.data != nullptr;
  LossSum sum;
  bool add = rows.add;
  for (std::int64_t pair = 0, end = 0; pair < loss.rows.pairs(); pair = end) {
    end = chunk_end(loss.rows, pair, chunk_rows);
    if (end == pair) {
      if (!add) chunk.zero(rows.d_head), chunk.zero(rows.d_bias);
      add = true;
      long_pair(rows, loss, pair, chunk_rows, chunk, out, sum, executor);
      end = pair + 1;
      continue;
    }
    const RowSelection selection = loss.rows.select(pair, end);
    if (selection.count > 0) {
      chunk.load(selection);
      chunk.log_probs(out.rows);
    }
    sequence_step(loss, pair, end, out.rows.log_prob, out.policy_chosen, out.policy_rejected, sum);
    row_coefficients(loss, pair, end, {out.d_chosen, DType::float64},
                     {out.d_rejected, DType::float64}, 1.0, out.coefficient);
    if (selection.count == 0 || !wants_gradient) continue;
    chunk.gradient(out.coefficient);
    chunk.backward(rows.d_head, rows.d_bias, add);
    add = true;
  }
  if (!add) chunk.zero(rows.d_head), chunk.zero(rows.d_bias);
  return sum;
}

}  // namespace sp2dpo::cpu
