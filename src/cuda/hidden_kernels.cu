// SPDX-License-Identifier: Apache-2.0
#include "elements.cuh"
#include "hidden_kernels.hpp"

#include <sp2dpo/cuda/check.cuh>
#include <sp2dpo/cuda/pair_loss.cuh>

namespace sp2dpo::cuda {
namespace {

using detail::threads_per_block;

/// Copies rows of `count` units, one block per row; strides are in units.
template <class Unit>
__global__ void __launch_bounds__(threads_per_block)
    copy_kernel(const Unit* in, std::int64_t in_stride, const std::int64_t* from, Unit* out,
                std::int64_t out_stride, const std::int64_t* to, std::int64_t count) {
  const std::int64_t i = blockIdx.x;
  in += (from == nullptr ? i : from[i]) * in_stride;
  out += (to == nullptr ? i : to[i]) * out_stride;
  for (std::int64_t j = threadIdx.x; j < count; j += threads_per_block) out[j] = in[j];
}

__global__ void __launch_bounds__(threads_per_block)
    labels_kernel(RowLabels labels, std::int64_t vocab, const std::int64_t* rows,
                  std::int64_t count, std::int64_t* out, std::uint64_t* bad_row) {
  const std::int64_t i = std::int64_t{blockIdx.x} * threads_per_block + threadIdx.x;
  if (i >= count) return;
  const std::int64_t label = labels.label[rows[i]];
  out[i] = label;
  if (bad_row != nullptr && label != labels.ignored && (label < 0 || label >= vocab))
    atomicMin(reinterpret_cast<unsigned long long*>(bad_row),
              static_cast<unsigned long long>(rows[i]));
}

template <class Element>
__global__ void __launch_bounds__(threads_per_block)
    label_logits_kernel(ConstMatrix hidden, ConstMatrix head, const void* bias, RowLabels labels,
                        double* out) {
  using Memory = typename Element::Memory;
  const std::int64_t y = labels.label[blockIdx.x];
  if (y == labels.ignored || y < 0 || y >= head.rows) {
    if (threadIdx.x == 0) out[blockIdx.x] = NAN;
    return;
  }
  const auto* const x = static_cast<const Memory*>(hidden.data) + blockIdx.x * hidden.stride;
  const auto* const w = static_cast<const Memory*>(head.data) + y * head.stride;
  float part = 0;
  for (std::int64_t j = threadIdx.x; j < hidden.columns; j += threads_per_block)
    part = fmaf(Element::load(x + j), Element::load(w + j), part);
  const double sum = detail::block_sum(static_cast<double>(part));
  if (threadIdx.x != 0) return;
  const double shift =
      bias == nullptr ? 0
                      : static_cast<double>(Element::load(static_cast<const Memory*>(bias) + y));
  out[blockIdx.x] = sum + shift;
}

template <class Element>
__global__ void __launch_bounds__(threads_per_block)
    column_sums_kernel(ConstMatrix matrix, float* sum, bool add) {
  const std::int64_t j = std::int64_t{blockIdx.x} * threads_per_block + threadIdx.x;
  if (j >= matrix.columns) return;
  const auto* at = static_cast<const typename Element::Memory*>(matrix.data) + j;
  float total = add ? sum[j] : 0;
  for (std::int64_t i = 0; i < matrix.rows; ++i, at += matrix.stride) total += Element::load(at);
  sum[j] = total;
}

template <class Element>
__global__ void __launch_bounds__(threads_per_block)
    scale_kernel(Matrix matrix, const std::int64_t* list, const double* factor) {
  auto* const row =
      static_cast<typename Element::Memory*>(matrix.data) + list[blockIdx.x] * matrix.stride;
  const auto by = static_cast<float>(factor[blockIdx.x]);
  for (std::int64_t j = threadIdx.x; j < matrix.columns; j += threads_per_block)
    row[j] = Element::rounded(by == 0 ? 0 : by * Element::load(row + j));
}

/// Sets the rows with coefficient 0 to zero, one block per row.
__global__ void __launch_bounds__(threads_per_block)
    drop_kernel(std::uint16_t* rows, std::int64_t units, const double* coefficient) {
  if (coefficient[blockIdx.x] != 0) return;
  std::uint16_t* const row = rows + blockIdx.x * units;
  for (std::int64_t j = threadIdx.x; j < units; j += threads_per_block) row[j] = 0;
}

constexpr int sums_per_thread = 4;

__global__ void __launch_bounds__(threads_per_block)
    add_scaled_kernel(const float* first, const float* second, const double* factor, float* out,
                      std::int64_t count, bool add) {
  const auto by_first = static_cast<float>(factor[0]);
  const auto by_second = static_cast<float>(factor[1]);
  const std::int64_t begin =
      std::int64_t{blockIdx.x} * threads_per_block * sums_per_thread + threadIdx.x;
#pragma unroll
  for (int u = 0; u < sums_per_thread; ++u) {
    const std::int64_t j = begin + u * threads_per_block;
    if (j >= count) continue;
    float sum = add ? out[j] : 0;
    // By 0 where the pair does not count, whose sums may be NaN.
    if (first != nullptr && by_first != 0) sum = fmaf(by_first, first[j], sum);
    if (second != nullptr && by_second != 0) sum = fmaf(by_second, second[j], sum);
    out[j] = sum;
  }
}

__global__ void __launch_bounds__(threads_per_block)
    skip_kernel(const std::int64_t* chosen_row_counts, const std::int64_t* rejected_row_counts,
                std::int64_t pairs, PairOutputs outputs, double* counted) {
  const std::int64_t i = std::int64_t{blockIdx.x} * threads_per_block + threadIdx.x;
  if (i >= pairs) return;
  const bool counts = chosen_row_counts[i] > 0 && rejected_row_counts[i] > 0;
  counted[i] = counts ? 1 : 0;
  if (!counts) outputs.set_all(i, 0);
}

unsigned blocks_for(std::int64_t threads) {
  return static_cast<unsigned>((threads + threads_per_block - 1) / threads_per_block);
}

}  // namespace

void launch::copy_rows(const ConstMatrix& in, const std::int64_t* from, const Matrix& out,
                       const std::int64_t* to, std::int64_t rows, Stream stream) {
  if (rows == 0) return;
  const auto element = static_cast<std::int64_t>(size_of(in.dtype));
  const auto copy = [&]<class Unit>(Unit) {
    constexpr auto unit = static_cast<std::int64_t>(sizeof(Unit));
    detail::launch("cuda::hidden_loss or cuda::hidden_log_probs, copying rows", copy_kernel<Unit>,
                   static_cast<unsigned>(rows), threads_per_block, stream,
                   static_cast<const Unit*>(in.data), in.stride * element / unit, from,
                   static_cast<Unit*>(out.data), out.stride * element / unit, to,
                   in.columns * element / unit);
  };
  const auto address = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  const std::uint64_t together = address(in.data) | address(out.data) |
                                 static_cast<std::uint64_t>(element * in.stride) |
                                 static_cast<std::uint64_t>(element * out.stride) |
                                 static_cast<std::uint64_t>(element * in.columns);
  if (together % 16 == 0)
    copy(uint4{});
  else
    copy(std::uint16_t{});
}

void launch::gather_labels(const RowLabels& labels, std::int64_t vocab, const std::int64_t* rows,
                           std::int64_t count, std::int64_t* out, std::uint64_t* bad_row,
                           Stream stream) {
  if (count == 0) return;
  detail::launch("cuda::hidden_loss or cuda::hidden_log_probs, gathering labels", labels_kernel,
                 blocks_for(count), threads_per_block, stream, labels, vocab, rows, count, out,
                 bad_row);
}

void launch::label_logits(const ConstMatrix& hidden, const ConstMatrix& head, const void* bias,
                          const RowLabels& labels, double* out, Stream stream) {
  visit(hidden.dtype, [&](auto element) {
    detail::launch("cuda::hidden_loss or cuda::hidden_log_probs, labels' logits",
                   label_logits_kernel<decltype(element)>, static_cast<unsigned>(hidden.rows),
                   threads_per_block, stream, hidden, head, bias, labels, out);
  });
}

void launch::column_sums(const ConstMatrix& matrix, float* sum, bool add, Stream stream) {
  visit(matrix.dtype, [&](auto element) {
    detail::launch("cuda::hidden_loss, the bias's gradient", column_sums_kernel<decltype(element)>,
                   blocks_for(matrix.columns), threads_per_block, stream, matrix, sum, add);
  });
}

void launch::scale_rows(const Matrix& matrix, const std::int64_t* list, const double* factor,
                        std::int64_t rows, Stream stream) {
  visit(matrix.dtype, [&](auto element) {
    detail::launch("cuda::hidden_loss, scaling rows", scale_kernel<decltype(element)>,
                   static_cast<unsigned>(rows), threads_per_block, stream, matrix, list, factor);
  });
}

void launch::drop_rows(const Matrix& matrix, const double* coefficient, Stream stream) {
  const auto units = matrix.columns * static_cast<std::int64_t>(size_of(matrix.dtype) / 2);
  detail::launch("cuda::hidden_loss, rows that do not count", drop_kernel,
                 static_cast<unsigned>(matrix.rows), threads_per_block, stream,
                 static_cast<std::uint16_t*>(matrix.data), units, coefficient);
}

void launch::add_scaled(const float* first, const float* second, const double* factor, float* out,
                        std::int64_t count, bool add, Stream stream) {
  const std::int64_t threads = (count + sums_per_thread - 1) / sums_per_thread;
  detail::launch("cuda::hidden_loss, adding a long pair's sums", add_scaled_kernel,
                 blocks_for(threads), threads_per_block, stream, first, second, factor, out, count,
                 add);
}

void launch::skip_incomplete(const std::int64_t* chosen_row_counts,
                             const std::int64_t* rejected_row_counts, std::int64_t pairs,
                             const PairOutputs& outputs, double* counted, Stream stream) {
  detail::launch("cuda::hidden_loss, pairs without rows", skip_kernel, blocks_for(pairs),
                 threads_per_block, stream, chosen_row_counts, rejected_row_counts, pairs, outputs,
                 counted);
}

void launch::zero(void* memory, std::size_t bytes, Stream stream) {
  detail::check(cudaMemsetAsync(memory, 0, bytes, stream), "cuda::hidden_loss, cudaMemsetAsync");
}

}  // namespace sp2dpo::cuda
