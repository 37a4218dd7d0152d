// SPDX-License-Identifier: Apache-2.0
#include "hidden_chunks.hpp"

#include <iterator>

#include "hidden_kernels.hpp"

#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::cuda {

using detail::require;

HiddenChunks::HiddenChunks(const char* call, const HiddenJob& job, const PairRows& pairs, int sums,
                           const RowMemory& memory, MatrixProducts& products, Stream stream)
    : at(job, pairs, sums, memory.workspace),
      rows_(job.rows),
      reference_(job.reference),
      list_(job.lists.rows),
      scratch_{at.row, at.row_bytes},
      products_(products),
      stream_(stream) {
  require(job.lists.rows != nullptr, "{}: lists.rows is null", call);
  require(job.lists.bounds != nullptr, "{}: lists.bounds is null", call);
  require(memory.workspace != nullptr && memory.workspace_bytes >= at.bytes,
          "{}: chunks of {} rows need {} bytes of workspace, got {}", call, job.chunk_rows,
          at.bytes, memory.workspace == nullptr ? 0 : memory.workspace_bytes);
  require(reinterpret_cast<std::uintptr_t>(memory.workspace) % hidden_alignment == 0,
          "{}: workspace is not aligned to {} bytes, which cuBLASLt asks for", call,
          hidden_alignment);
  launch::gather_labels(rows_.labels, rows_.head.rows, list_, std::ssize(pairs.rows()), at.label,
                        memory.bad_row, stream);
}

void HiddenChunks::load(std::int64_t first, std::int64_t count) {
  gather(first, count);
  make_logits(count);
}

void HiddenChunks::load_with_log_probs(std::int64_t first, std::int64_t count) {
  load_with_reference(first, count);
  make_label_logits(0, at.logit);
  row_log_probs(logit_rows(), labels(at.logit), {0, count_}, statistics(), scratch_, stream_);
}

void HiddenChunks::load_with_gradient(std::int64_t first, std::int64_t count) {
  load_with_reference(first, count);
  make_label_logits(0, at.logit);
  row_log_probs_and_gradient(logit_rows(), labels(at.logit), {0, count_}, statistics(),
                             at.coefficient + first_, gradient_rows(), MaskedRows::zero, scratch_,
                             stream_);
  drop_rows();
}

void HiddenChunks::make_gradient() {
  row_gradient(logit_rows(), labels(at.logit), {0, count_}, at.lse_others + first_,
               at.coefficient + first_, gradient_rows(), MaskedRows::zero, scratch_, stream_);
  drop_rows();
}

void HiddenChunks::backward(const Matrix& d_head, float* d_bias, bool add) {
  const ConstMatrix d_logits = as_const(logits());
  if (rows_.d_hidden.data != nullptr) {
    const Matrix d_hidden = matrix(at.d_hidden, rows_.hidden.columns);
    multiply({d_logits}, {rows_.head}, d_hidden, false);
    launch::copy_rows(as_const(d_hidden), nullptr, rows_.d_hidden, list_ + first_, count_, stream_);
  }
  if (d_head.data != nullptr) multiply({d_logits, true}, {as_const(hidden())}, d_head, add);
  if (d_bias != nullptr) launch::column_sums(d_logits, d_bias, add, stream_);
}

Matrix HiddenChunks::matrix(void* data, std::int64_t columns, std::int64_t from) const {
  const std::size_t offset = static_cast<std::size_t>(from * columns) * size_of(rows_.head.dtype);
  return {static_cast<char*>(data) + offset, rows_.head.dtype, count_, columns, columns};
}

LogitRows HiddenChunks::logit_rows(std::int64_t from) const {
  const Matrix m = logits(from);
  return {m.data, m.dtype, m.rows, m.columns, m.columns, {.stride = m.stride}};
}

void HiddenChunks::gather(std::int64_t first, std::int64_t count) {
  first_ = first;
  count_ = count;
  launch::copy_rows(rows_.hidden, list_ + first, hidden(), nullptr, count, stream_);
}

void HiddenChunks::make_logits(std::int64_t count) {
  Matrix from = hidden(), to = logits();
  from.rows = to.rows = count;
  if (rows_.bias != nullptr)
    launch::copy_rows({rows_.bias, rows_.head.dtype, 1, rows_.head.rows, 0}, nullptr, to, nullptr,
                      count, stream_);
  multiply({as_const(from)}, {rows_.head, true}, to, rows_.bias != nullptr);
}

void HiddenChunks::load_with_reference(std::int64_t first, std::int64_t count) {
  gather(first, count);
  if (reference_.data == nullptr) return make_logits(count);
  launch::copy_rows(reference_, list_ + first, hidden(count), nullptr, count, stream_);
  make_logits(2 * count);
  make_label_logits(count, at.reference_logit);
  row_log_probs(logit_rows(count), labels(at.reference_logit), {0, count_},
                {at.reference_log_prob + first}, scratch_, stream_);
}

void HiddenChunks::make_label_logits(std::int64_t from, double* logit) {
  launch::label_logits(as_const(hidden(from)), rows_.head, rows_.bias,
                       {at.label + first_, rows_.labels.ignored}, logit + first_, stream_);
}

void HiddenChunks::drop_rows() {
  // Only the head's gradient reads hidden states again.
  if (rows_.d_head.data != nullptr) launch::drop_rows(hidden(), at.coefficient + first_, stream_);
}

void HiddenChunks::multiply(const MatrixProducts::Operand& a, const MatrixProducts::Operand& b,
                            const Matrix& product, bool add) {
  products_(a, b, product, add, at.product, static_cast<std::size_t>(product_bytes), stream_);
}

}  // namespace sp2dpo::cuda
