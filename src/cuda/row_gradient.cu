// SPDX-License-Identifier: Apache-2.0
#include "row_gradient.cuh"

#include <sp2dpo/cuda/check.cuh>

namespace sp2dpo::cuda {
namespace {

template <class Element>
__device__ launch::StoredScale scale_of(const launch::RowPass& pass, std::int64_t row) {
  return RowScale::of(pass.coefficient[row], pass.lse_others[row],
                      label_logit<Element>(pass, row, pass.labels.label[row]));
}

constexpr int scale_threads = 128;

/// Computes the scales of rows that several blocks share, before any of them writes: in place, the
/// block that has the label overwrites what the others would read. One thread per row; rows that
/// are not read are left out.
template <class Element>
__global__ void __launch_bounds__(scale_threads) scales_kernel(launch::RowPass pass) {
  const std::int64_t i = std::int64_t{blockIdx.x} * scale_threads + threadIdx.x;
  if (i >= pass.selection.count) return;
  const std::int64_t row = pass.selection[i];
  if (pass.labels.label[row] == pass.labels.ignored || pass.coefficient[row] == 0) return;
  pass.scales[i] = scale_of<Element>(pass, row);
}

/// Takes one part of one row; the last selected row comes first.
template <class Element>
__global__ void __launch_bounds__(row_threads, 2) gradient_kernel(launch::RowPass pass) {
  using Memory = typename Element::Memory;
  const std::int64_t selected = gridDim.x - 1 - blockIdx.x;
  const std::int64_t row = pass.selection[selected];
  const std::int64_t label = pass.labels.label[row];
  const bool masked = label == pass.labels.ignored;
  if (masked && pass.masked == MaskedRows::leave) return;
  auto* const out = static_cast<Memory*>(pass.gradient.data) + pass.gradient.layout.offset(row);
  const double coefficient = masked ? 0 : pass.coefficient[row];
  const Part part{static_cast<int>(blockIdx.y), static_cast<int>(gridDim.y)};
  if (coefficient == 0) {
    write_zeros<Element>(out, 0, columns(pass.logits), part);
    return;
  }

  const auto* const in =
      static_cast<const Memory*>(pass.logits.data) + pass.logits.layout.offset(row);
  __shared__ launch::StoredScale shared;
  if (threadIdx.x == 0)
    shared = part.count > 1 ? pass.scales[selected] : scale_of<Element>(pass, row);
  // Also keeps the label's logit from being overwritten before it is read.
  __syncthreads();
  const RowScale scale{shared};
  const int thread = static_cast<int>(threadIdx.x);
  if (part.is_last()) write_zeros<Element>(out, pass.logits.vocab, columns(pass.logits), {0, 1});

  const auto write_single = [&](std::int64_t j) {
    out[j] = Element::rounded(j == label ? scale.at_label : scale(Element::load(in + j)));
  };
  const Span span = Span::of<Element>(in, pass.logits.vocab);
  const bool same_alignment =
      ((reinterpret_cast<std::uintptr_t>(in) ^ reinterpret_cast<std::uintptr_t>(out)) & 15u) == 0;
  if (!same_alignment) {
    for (std::int64_t j = part.begin(pass.logits.vocab) + thread, end = part.end(pass.logits.vocab);
         j < end; j += row_threads)
      write_single(j);
    return;
  }
  if (part.is_first() && thread < span.head) write_single(thread);
  if (part.is_last() && thread < span.tail) write_single(pass.logits.vocab - span.tail + thread);

  const LabelPlace place = LabelPlace::of<Element>(span, label);
  const std::uint32_t label_bits = element_bits<Element>(scale.at_label);
  const auto* const from = reinterpret_cast<const uint4*>(in + span.head);
  auto* const to = reinterpret_cast<uint4*>(out + span.head);
  const auto convert = [&](uint4& v, int i) {
    scale.apply<Element>(v);
    if (i == place.vector) set_element<Element>(v, place.place, label_bits);
    __stcs(to + i, v);
  };
  const auto end = static_cast<int>(part.end(span.vectors));
  int i = static_cast<int>(part.begin(span.vectors)) + thread;
  for (; i + (unroll - 1) * row_threads < end; i += unroll * row_threads) {
    uint4 v[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) v[u] = __ldcs(from + i + u * row_threads);
#pragma unroll
    for (int u = 0; u < unroll; ++u) convert(v[u], i + u * row_threads);
  }
  for (; i < end; i += row_threads) {
    uint4 v = __ldcs(from + i);
    convert(v, i);
  }
}

}  // namespace

void launch::gradient(const RowPass& pass, int parts, Stream stream) {
  const dim3 grid(static_cast<unsigned>(pass.selection.count), static_cast<unsigned>(parts));
  visit(pass.logits.dtype, [&](auto element) {
    if (parts > 1) {
      const auto blocks = (grid.x + scale_threads - 1) / scale_threads;
      detail::launch("cuda::row_gradient, rows in parts", scales_kernel<decltype(element)>, blocks,
                     scale_threads, stream, pass);
    }
    detail::launch("cuda::row_gradient", gradient_kernel<decltype(element)>, grid, row_threads,
                   stream, pass);
  });
}

}  // namespace sp2dpo::cuda
