// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elements.cuh"
#include "row_kernels.hpp"

#include <sp2dpo/loss/detail/logit_range.hpp>
#include <sp2dpo/loss/objective.hpp>

/// Shared by the row kernels: where a row's vectors lie, and the arithmetic of its sums.
namespace sp2dpo::cuda {

inline constexpr int row_threads = 512;
inline constexpr int unroll = 4;  // vectors that a thread has in flight: 64 bytes
inline constexpr unsigned all_lanes = 0xffffffffu;

inline constexpr float log2e = 1.4426950408889634f;
using sp2dpo::detail::label_distance;
using sp2dpo::detail::lowest_exponent;

__device__ inline float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// A row of elements in memory: single ones up to the first 16-byte boundary, then vectors, then
/// single ones again.
struct Span {
  int head, vectors, tail;

  template <class Element>
  static __device__ Span of(const typename Element::Memory* row, std::int64_t vocab) {
    constexpr int size = static_cast<int>(sizeof(typename Element::Memory));
    const int to_boundary = static_cast<int>(-reinterpret_cast<std::uintptr_t>(row) & 15u) / size;
    const int count = static_cast<int>(vocab);
    const int head = min(to_boundary, count);
    const int vectors = (count - head) / per_vector<Element>;
    return {head, vectors, count - head - vectors * per_vector<Element>};
  }
};

/// The position of a label in a row: in vector `vector` (−1 if in none), at index `place` of it.
struct LabelPlace {
  int vector = -1, place = 0;

  template <class Element>
  static __device__ LabelPlace of(const Span& span, std::int64_t label) {
    const std::int64_t in_vectors = label - span.head;
    if (in_vectors < 0 || in_vectors >= std::int64_t{span.vectors} * per_vector<Element>) return {};
    return {static_cast<int>(in_vectors / per_vector<Element>),
            static_cast<int>(in_vectors % per_vector<Element>)};
  }
};

/// The elements of a vector, word by word: registers have no addresses, so all indices are those of
/// unrolled loops.
template <class Element>
__device__ void set_element(uint4& vector, int place, std::uint32_t bits) {
  std::uint32_t* const word = &vector.x;
#pragma unroll
  for (int i = 0; i < per_vector<Element>; ++i)
    if (i == place)
      word[i / Element::per_word] =
          with_element<Element>(word[i / Element::per_word], i % Element::per_word, bits);
}

template <class Element>
__device__ float plain_sum(const uint4& vector) {
  const std::uint32_t* const word = &vector.x;
  float sum = 0;
#pragma unroll
  for (int i = 0; i < per_vector<Element>; ++i)
    sum += Element::get(word[i / Element::per_word], i % Element::per_word);
  return sum;
}

template <class Element>
__device__ uint4 nothing() {
  constexpr auto word = Element::minus_infinity;
  return make_uint4(word, word, word, word);
}

/// Σ exp(x) as 2^k · sum, and Σ x if requested. Exponents are integers, so that moving to a larger
/// one is exact.
struct ExpSum : launch::PartialSum {
  __device__ ExpSum() : PartialSum{0, lowest_exponent, 0} {}
  __device__ explicit ExpSum(const PartialSum& part) : PartialSum(part) {}

  /// Returns k for logits up to `max`. For logits of 1e9, whose exponents are multiples of 128, it
  /// is off by up to 64, which leaves room on both sides of a float's range.
  static __device__ float exponent_above(float max) { return ceilf(__fmul_rn(max, log2e)); }

  /// False if a logit was above the range; a NaN is in the sum.
  [[nodiscard]] __device__ bool is_in_range() const { return k <= -lowest_exponent; }

  __device__ void raise(float exponent) {
    const float higher = fmaxf(k, exponent);
    sum *= exp2_approx(k - higher);
    k = higher;
  }

  __device__ void add(float x) {
    raise(exponent_above(x));
    sum += exp2_approx(fmaf(x, log2e, -k));
  }

  __device__ void add(const PartialSum& other) {
    const float higher = fmaxf(k, other.k);
    sum = sum * exp2_approx(k - higher) + other.sum * exp2_approx(other.k - higher);
    k = higher;
    plain += other.plain;
  }

  template <class Element, int count>
  __device__ void add(const uint4 (&vectors)[count]) {
    std::uint32_t max = vectors[0].x;
#pragma unroll
    for (int v = 0; v < count; ++v) {
      const std::uint32_t* const word = &vectors[v].x;
#pragma unroll
      for (int w = 0; w < words; ++w) max = Element::max(max, word[w]);
    }
    raise(exponent_above(fmaxf(Element::get(max, 0), Element::get(max, Element::per_word - 1))));
    float even = 0, odd = 0;
#pragma unroll
    for (int v = 0; v < count; ++v) {
      const std::uint32_t* const word = &vectors[v].x;
#pragma unroll
      for (int w = 0; w < words; ++w) {
        even += exp2_approx(fmaf(Element::get(word[w], 0), log2e, -k));
        if constexpr (Element::per_word == 2) {
          odd += exp2_approx(fmaf(Element::get(word[w], 1), log2e, -k));
        }
      }
    }
    sum += even + odd;
  }

  /// Returns log Σ exp(x): −inf if all x are masked, NaN if one is out of range. Dividing by the
  /// same rounded log2(e) that x was multiplied by cancels its rounding.
  [[nodiscard]] __device__ double log() const {
    if (!is_in_range()) return NAN;
    return static_cast<double>(k) / static_cast<double>(log2e) + ::log(static_cast<double>(sum));
  }
};

/// Returns the block's total, in a fixed order; valid in thread 0.
template <bool with_plain>
__device__ ExpSum block_total(ExpSum part) {
  __shared__ launch::PartialSum memory[row_threads / 32];
  const auto over_lanes = [&part] {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
      launch::PartialSum other{};
      other.k = __shfl_down_sync(all_lanes, part.k, offset);
      other.sum = __shfl_down_sync(all_lanes, part.sum, offset);
      if constexpr (with_plain) other.plain = __shfl_down_sync(all_lanes, part.plain, offset);
      part.add(other);
    }
  };
  over_lanes();
  if (threadIdx.x % 32 == 0) memory[threadIdx.x / 32] = part;
  __syncthreads();
  if (threadIdx.x >= 32) return part;
  part = threadIdx.x < row_threads / 32 ? ExpSum(memory[threadIdx.x]) : ExpSum();
  over_lanes();
  return part;
}

/// Returns whether the row has a label, and is to be read: an ignored one may look like a token.
[[nodiscard]] __device__ inline bool is_label(std::int64_t label, const launch::RowPass& pass) {
  return label != pass.labels.ignored && label >= 0 && label < pass.logits.vocab;
}

/// Returns NaN if the row has none.
template <class Element>
__device__ double label_logit(const launch::RowPass& pass, std::int64_t row, std::int64_t label) {
  if (!is_label(label, pass)) return NAN;
  if (pass.labels.logit != nullptr) return pass.labels.logit[row];
  const auto* const in = static_cast<const typename Element::Memory*>(pass.logits.data);
  return static_cast<double>(Element::load(in + pass.logits.layout.offset(row) + label));
}

/// Writes the statistics of a row with this label, whose logit is z; zeros for a masked row.
__device__ inline void write_statistics(const launch::RowPass& pass, std::int64_t row,
                                        std::int64_t label, double lse_others, double plain,
                                        double z) {
  double log_prob = 0;
  if (label == pass.labels.ignored) {
    lse_others = plain = 0;
  } else if (is_label(label, pass)) {
    log_prob = -sp2dpo::detail::softplus(label_distance(lse_others, z));
  } else {
    log_prob = lse_others = plain = NAN;
    if (pass.bad_row != nullptr)
      atomicMin(reinterpret_cast<unsigned long long*>(pass.bad_row),
                static_cast<unsigned long long>(row));
  }
  if (pass.statistics.log_prob != nullptr) pass.statistics.log_prob[row] = log_prob;
  if (pass.statistics.lse_others != nullptr) pass.statistics.lse_others[row] = lse_others;
  if (pass.statistics.logit_sum != nullptr) pass.statistics.logit_sum[row] = plain;
}

struct RowScale : launch::StoredScale {
  static __device__ launch::StoredScale of(double coefficient, double lse_others, double z) {
    const double distance = label_distance(lse_others, z);
    const double lse = fmax(lse_others, z) + log1p(exp(-fabs(distance)));
    const double exponent = lse * static_cast<double>(log2e);
    const auto k = static_cast<float>(ceil(exponent));
    // The scale compensates for the rounding of k. NaN if the row is out of range.
    const double rest = static_cast<double>(k) - exponent;
    return {isnan(distance) ? NAN : k, static_cast<float>(-coefficient * exp2(rest)),
            static_cast<float>(coefficient * sp2dpo::detail::sigmoid(distance))};
  }

  /// Computed from the sums, without logarithms, which would need registers while a row is held.
  static __device__ launch::StoredScale of(double coefficient, const launch::PartialSum& others,
                                           double z) {
    if (coefficient == 0) return {0, 0, 0};
    const double lowest = others.sum == 0 ? -INFINITY : 0;
    if (!ExpSum(others).is_in_range() || isnan(label_distance(lowest, z))) return {NAN, NAN, NAN};
    const double exponent = z * static_cast<double>(log2e);
    const float k = fmaxf(others.k, static_cast<float>(ceil(exponent)));
    const float rest = others.sum * exp2_approx(others.k - k);
    const float all = rest + exp2_approx(static_cast<float>(exponent - static_cast<double>(k)));
    const auto c = static_cast<float>(coefficient);
    return {k, -c / all, c * (rest / all)};
  }

  [[nodiscard]] __device__ float operator()(float x) const {
    return scale * exp2_approx(fmaf(x, log2e, -k));
  }

  template <class Element>
  __device__ void apply(uint4& vector) const {
    std::uint32_t* const word = &vector.x;
#pragma unroll
    for (int w = 0; w < words; ++w) {
      float x[Element::per_word];
#pragma unroll
      for (int i = 0; i < Element::per_word; ++i) x[i] = (*this)(Element::get(word[w], i));
      word[w] = Element::pack(x);
    }
  }
};

}  // namespace sp2dpo::cuda
