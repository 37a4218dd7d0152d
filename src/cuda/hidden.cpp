// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "hidden_kernels.hpp"
#include "row_kernels.hpp"

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/detail/arena.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::cuda {
namespace {

using detail::require;

constexpr std::size_t alignment = 256;  // cuBLASLt's fastest algorithms want it
constexpr std::int64_t product_bytes = std::int64_t{32} << 20;
constexpr const char* call = "cuda::hidden_loss";

/// Numbers by the place of a row among those that count, and the buffers of one chunk of them.
struct Buffers {
  Buffers(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows, void* workspace) {
    const auto count = std::ssize(pairs.rows());
    const std::int64_t most = std::min(chunk_rows, count);
    const std::size_t element = size_of(rows.hidden.dtype);
    detail::Arena arena(workspace, alignment);
    label = arena.take<std::int64_t>(count);
    log_prob = arena.take<double>(count);
    coefficient = arena.take<double>(count);
    logit = arena.take<double>(most);
    lse_others = arena.take<double>(most);
    hidden = arena.take(most * rows.hidden.columns, element);
    logits = arena.take(most * rows.head.rows, element);
    if (rows.d_hidden.data != nullptr) d_hidden = arena.take(most * rows.hidden.columns, element);
    // row_workspace is no larger for any number of rows up to `most`.
    row_bytes = static_cast<std::size_t>(512 + most) * sizeof(launch::PartialSum);
    row = arena.take(1, row_bytes);
    pair_bytes = pair_loss_workspace(pairs.pairs());
    pair = arena.take(1, pair_bytes);
    product = arena.take(product_bytes, 1);
    bytes = arena.used();
  }

  std::int64_t* label;
  double *log_prob, *coefficient, *logit, *lse_others;
  void *hidden, *logits, *d_hidden = nullptr, *row, *pair, *product;
  std::size_t row_bytes, pair_bytes, bytes;
};

bool fits(const Matrix& gradient, std::int64_t rows, std::int64_t columns, DType dtype) {
  return gradient.data == nullptr || (gradient.rows == rows && gradient.columns == columns &&
                                      gradient.dtype == dtype && gradient.stride == columns);
}

void check_matrices(const HiddenRows& rows, bool one_chunk) {
  const DType dtype = rows.hidden.dtype;
  require(dtype != DType::float64, "{}: hidden is float64; float16, bfloat16 and float32 are taken",
          call);
  require(rows.hidden.data && rows.head.data && rows.labels.label,
          "{}: hidden, head or labels have no memory", call);
  require(rows.head.dtype == dtype && rows.head.columns == rows.hidden.columns,
          "{}: the head is {} [{}, {}], the hidden states are {} [{}, {}]: they must agree in "
          "element type and width",
          call, name_of(rows.head.dtype), rows.head.rows, rows.head.columns, name_of(dtype),
          rows.hidden.rows, rows.hidden.columns);
  const bool in_own_type = one_chunk && !rows.add && rows.d_head.dtype == dtype;
  require(fits(rows.d_hidden, rows.hidden.rows, rows.hidden.columns, dtype) &&
              fits(rows.d_head, rows.head.rows, rows.head.columns,
                   in_own_type ? dtype : DType::float32) &&
              fits(rows.d_bias, 1, rows.head.rows, DType::float32),
          "{}: a gradient has not the shape or element type of what it is the gradient of, or is "
          "not dense",
          call);
}

void zero(const Matrix& m, Stream stream) {
  if (m.data != nullptr)
    launch::zero(m.data, static_cast<std::size_t>(m.rows * m.columns) * size_of(m.dtype), stream);
}

}  // namespace

std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes) {
  const std::int64_t row_bytes = static_cast<std::int64_t>(size_of(rows.hidden.dtype)) *
                                 (rows.head.rows + 2 * rows.hidden.columns);
  return std::max<std::int64_t>(1, (bytes - product_bytes) / row_bytes);
}

std::size_t hidden_workspace(const HiddenRows& rows, const PairRows& pairs,
                             std::int64_t chunk_rows) {
  return Buffers(rows, pairs, chunk_rows, nullptr).bytes;
}

void hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, const PairRowLists& lists,
                 std::int64_t chunk_rows, const HiddenOutputs& out, const RowMemory& memory,
                 MatrixProducts& products, Stream stream) {
  const PairRows& pairs = loss.rows;
  if (pairs.pairs() == 0) return;
  require(chunk_rows > 0, "{}: a chunk holds at least one row, not {}", call, chunk_rows);
  require(!loss.skip_incomplete, "{}: pairs cannot be skipped here; leave them out", call);
  const auto count = std::ssize(pairs.rows());
  check_matrices(rows, count <= chunk_rows);
  require(lists.rows && lists.bounds, "{}: a list of rows or bounds is null", call);
  require(out.d_chosen && out.d_rejected, "{}: d_chosen or d_rejected is null", call);
  const Buffers at(rows, pairs, chunk_rows, memory.workspace);
  require(memory.workspace != nullptr && memory.workspace_bytes >= at.bytes,
          "{}: chunks of {} rows want {} bytes of workspace, given are {}", call, chunk_rows,
          at.bytes, memory.workspace == nullptr ? 0 : memory.workspace_bytes);

  const std::int64_t width = rows.hidden.columns, vocab = rows.head.rows;
  const DType dtype = rows.hidden.dtype;
  const bool wants_gradient = rows.d_hidden.data || rows.d_head.data || rows.d_bias.data;
  const auto multiply = [&](const MatrixProducts::Operand& a, const MatrixProducts::Operand& b,
                            const Matrix& product, bool add) {
    products(a, b, product, add, at.product, static_cast<std::size_t>(product_bytes), stream);
  };
  zero(rows.d_hidden, stream);
  launch::gather_labels(rows.labels.label, lists.rows, count, at.label, stream);

  bool add = rows.add;
  for (std::int64_t begin = 0, end = 0; begin < pairs.pairs(); begin = end) {
    while (end < pairs.pairs() && pairs.select(begin, end + 1).count <= chunk_rows) ++end;
    require(end > begin, "{}: pair {} has {} rows, and a chunk holds {}; give more workspace", call,
            begin, pairs.select(begin, begin + 1).count, chunk_rows);
    const RowSelection chunk = pairs.select(begin, end);
    const RowSelection all{0, chunk.count};
    const Matrix hidden{at.hidden, dtype, chunk.count, width, width};
    const Matrix logits{at.logits, dtype, chunk.count, vocab, vocab};
    const LogitRows logit_rows{at.logits, dtype, chunk.count, vocab, vocab, {.stride = vocab}};
    const RowLabels labels{at.label + chunk.first, rows.labels.ignored, at.logit};
    const RowMemory scratch{at.row, at.row_bytes, memory.bad_row};
    if (chunk.count > 0) {
      launch::copy_rows(rows.hidden, lists.rows + chunk.first, hidden, nullptr, chunk.count,
                        stream);
      launch::label_logits(as_const(hidden), rows.head, rows.bias, labels.label, at.logit, stream);
      if (rows.bias != nullptr)
        launch::copy_rows({rows.bias, dtype, 1, vocab, 0}, nullptr, logits, nullptr, chunk.count,
                          stream);
      multiply({as_const(hidden)}, {rows.head, true}, logits, rows.bias != nullptr);
      row_log_probs(logit_rows, labels, all, {at.log_prob + chunk.first, at.lse_others}, scratch,
                    stream);
    }

    const AnswerRows answers{{.count = 2 * (end - begin),
                              .cu_seqlens = lists.bounds + 2 * begin,
                              .layout = Sequences::Layout::interleaved},
                             {at.label, rows.labels.ignored},
                             loss.average_log_prob};
    const AnswerSums sums{out.answers.chosen + begin, out.answers.rejected + begin,
                          out.answers.chosen_rows + begin, out.answers.rejected_rows + begin};
    answer_log_probs(answers, at.log_prob, /*empty_allowed=*/true, sums, stream);
    PairInputs inputs = loss.inputs.from(begin);
    inputs.policy_chosen = {sums.chosen, DType::float64};
    inputs.policy_rejected = {sums.rejected, DType::float64};
    pair_loss({.in = inputs,
               .out = loss.outputs.from(begin),
               .pairs = end - begin,
               .workspace = at.pair,
               .workspace_bytes = at.pair_bytes},
              loss.objective, stream);
    if (chunk.count == 0 || !wants_gradient) continue;
    row_coefficients(answers, sums, {out.d_chosen + begin, DType::float64},
                     {out.d_rejected + begin, DType::float64}, 1.0, loss.nll_scale, at.coefficient,
                     stream);
    row_gradient(logit_rows, labels, all, at.lse_others, at.coefficient + chunk.first,
                 {at.logits, logit_rows.layout}, MaskedRows::zero, scratch, stream);

    if (rows.d_hidden.data != nullptr) {
      const Matrix d_hidden{at.d_hidden, dtype, chunk.count, width, width};
      multiply({as_const(logits)}, {rows.head}, d_hidden, false);
      launch::copy_rows(as_const(d_hidden), nullptr, rows.d_hidden, lists.rows + chunk.first,
                        chunk.count, stream);
    }
    if (rows.d_head.data != nullptr)
      multiply({as_const(logits), true}, {as_const(hidden)}, rows.d_head, add);
    if (rows.d_bias.data != nullptr)
      launch::column_sums(as_const(logits), static_cast<float*>(rows.d_bias.data), add, stream);
    add = true;
  }
  if (!add) zero(rows.d_head, stream), zero(rows.d_bias, stream);
}

}  // namespace sp2dpo::cuda
