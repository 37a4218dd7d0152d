// SPDX-License-Identifier: Apache-2.0
#include "row_math.cuh"

#include <sp2dpo/cuda/check.cuh>

namespace sp2dpo::cuda {
namespace {

/// Takes one part of one row: block (i, part) of selected row i.
template <class Element, bool with_plain>
__global__ void __launch_bounds__(row_threads, 2) log_probs_kernel(launch::RowPass pass) {
  const std::int64_t row = pass.selection[blockIdx.x];
  const std::int64_t label = pass.labels.label[row];
  const bool reads = is_label(label, pass);  // masked rows are not read
  const int thread = static_cast<int>(threadIdx.x);

  ExpSum sum;
  if (reads) {
    const auto* const in = static_cast<const typename Element::Memory*>(pass.logits.data) +
                           pass.logits.layout.offset(row);
    const Span span = Span::of<Element>(in, pass.logits.vocab);
    const LabelPlace place = LabelPlace::of<Element>(span, label);
    const auto* const vectors = reinterpret_cast<const uint4*>(in + span.head);
    const auto part_begin = [&](unsigned part) {
      return static_cast<int>(std::int64_t{span.vectors} * part / gridDim.y);
    };
    const int end = part_begin(blockIdx.y + 1);
    int i = part_begin(blockIdx.y) + thread;

    // The thread that meets the label's vector, and when: one comparison per round.
    const int steps = place.vector - i;
    const bool owns = place.vector >= i && place.vector < end && steps % row_threads == 0;
    const int label_round = owns ? i + steps / (unroll * row_threads) * (unroll * row_threads) : -1;
    float plain = 0;
    const auto add = [&](uint4(&v)[unroll]) {
      if (i == label_round) {
#pragma unroll
        for (int u = 0; u < unroll; ++u)
          if (i + u * row_threads == place.vector)
            set_element<Element>(v[u], place.place, Element::minus_infinity);
      }
      sum.add<Element>(v);
    };
    for (; i + (unroll - 1) * row_threads < end; i += unroll * row_threads) {
      uint4 v[unroll];
#pragma unroll
      for (int u = 0; u < unroll; ++u) v[u] = __ldcs(vectors + i + u * row_threads);
      if constexpr (with_plain) {
#pragma unroll
        for (int u = 0; u < unroll; ++u) plain += plain_sum<Element>(v[u]);
      }
      add(v);
    }
    if (i < end) {
      uint4 v[unroll];
#pragma unroll
      for (int u = 0; u < unroll; ++u) {
        const bool in_row = i + u * row_threads < end;
        v[u] = in_row ? __ldcs(vectors + i + u * row_threads) : nothing<Element>();
        if constexpr (with_plain) {
          if (in_row) plain += plain_sum<Element>(v[u]);
        }
      }
      add(v);
    }
    // Single elements at both ends, in the first and the last part.
    const auto add_single = [&](int j) {
      const float x = Element::load(in + j);
      if (j != label) sum.add(x);
      if constexpr (with_plain) plain += x;
    };
    if (blockIdx.y == 0 && thread < span.head) add_single(thread);
    if (blockIdx.y == gridDim.y - 1 && thread < span.tail)
      add_single(static_cast<int>(pass.logits.vocab) - span.tail + thread);
    sum.plain = static_cast<double>(plain);
    sum = block_total<with_plain>(sum);
  }

  if (thread != 0) return;
  if (gridDim.y > 1)
    pass.partial[std::int64_t{blockIdx.y} * gridDim.x + blockIdx.x] = sum;
  else
    write_statistics(pass, row, label, sum.log(), sum.plain,
                     label_logit<Element>(pass, row, label));
}

constexpr int finish_threads = 128;

/// One thread per row sums the row's parts in order.
template <class Element>
__global__ void __launch_bounds__(finish_threads) finish_kernel(launch::RowPass pass, int parts) {
  const std::int64_t i = std::int64_t{blockIdx.x} * finish_threads + threadIdx.x;
  if (i >= pass.selection.count) return;
  const std::int64_t row = pass.selection[i];
  const std::int64_t label = pass.labels.label[row];
  ExpSum sum;
  for (int part = 0; part < parts; ++part) sum.add(pass.partial[part * pass.selection.count + i]);
  write_statistics(pass, row, label, sum.log(), sum.plain, label_logit<Element>(pass, row, label));
}

}  // namespace

void launch::log_probs(const RowPass& pass, int parts, Stream stream) {
  const dim3 grid(static_cast<unsigned>(pass.selection.count), static_cast<unsigned>(parts));
  visit(pass.logits.dtype, [&](auto element) {
    using Element = decltype(element);
    const auto kernel = pass.statistics.logit_sum != nullptr ? log_probs_kernel<Element, true>
                                                             : log_probs_kernel<Element, false>;
    detail::launch("cuda::row_log_probs", kernel, grid, row_threads, stream, pass);
    if (parts == 1) return;
    const auto blocks = (grid.x + finish_threads - 1) / finish_threads;
    detail::launch("cuda::row_log_probs, parts of rows", finish_kernel<Element>, blocks,
                   finish_threads, stream, pass, parts);
  });
}

}  // namespace sp2dpo::cuda
