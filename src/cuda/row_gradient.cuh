// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "row_math.cuh"

/// Shared by the kernels that write gradients.
namespace sp2dpo::cuda {

/// The part of a row that a block has.
struct Part {
  int index, count;

  [[nodiscard]] __device__ bool is_first() const { return index == 0; }
  [[nodiscard]] __device__ bool is_last() const { return index == count - 1; }
  [[nodiscard]] __device__ std::int64_t begin(std::int64_t n) const { return n * index / count; }
  [[nodiscard]] __device__ std::int64_t end(std::int64_t n) const {
    return n * (index + 1) / count;
  }
};

[[nodiscard]] __device__ inline std::int64_t columns(const LogitRows& logits) {
  return max(logits.vocab, logits.padded_vocab);
}

template <class Element>
__device__ std::uint32_t element_bits(float x) {
  return sp2dpo::detail::bits_as<typename Element::Memory>(Element::rounded(x));
}
template <>
__device__ inline std::uint32_t element_bits<Float32>(float x) {
  return __float_as_uint(x);
}

/// This part of the elements [first, end) of a row.
template <class Element>
__device__ void write_zeros(typename Element::Memory* row, std::int64_t first, std::int64_t end,
                            const Part& part) {
  auto* const from = row + first;
  const Span span = Span::of<Element>(from, end - first);
  const int thread = static_cast<int>(threadIdx.x);
  if (part.is_first() && thread < span.head) from[thread] = typename Element::Memory(0);
  if (part.is_last() && thread < span.tail)
    from[end - first - span.tail + thread] = typename Element::Memory(0);
  auto* const vectors = reinterpret_cast<uint4*>(from + span.head);
  for (std::int64_t i = part.begin(span.vectors) + thread; i < part.end(span.vectors);
       i += row_threads)
    __stcs(vectors + i, make_uint4(0, 0, 0, 0));
}

}  // namespace sp2dpo::cuda
