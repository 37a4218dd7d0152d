// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <sp2dpo/loss/dtype.hpp>

/// The element types of logits in 32-bit words, as loaded from memory, for the row kernels.
namespace sp2dpo::cuda {

struct Float32 {
  using Memory = float;
  static constexpr int per_word = 1;
  static constexpr std::uint32_t minus_infinity = 0xff800000u;

  static __device__ std::uint32_t max(std::uint32_t a, std::uint32_t b) {
    return __float_as_uint(fmaxf(__uint_as_float(a), __uint_as_float(b)));
  }
  static __device__ float get(std::uint32_t word, int) { return __uint_as_float(word); }
  static __device__ std::uint32_t pack(const float (&x)[1]) { return __float_as_uint(x[0]); }
  static __device__ float load(const Memory* at) { return *at; }
  static __device__ Memory rounded(float x) { return x; }
};

// Instructions instead of the toolkit's types: one each, without headers that take a second to
// compile.
struct BFloat16 {
  using Memory = std::uint16_t;
  static constexpr int per_word = 2;
  static constexpr std::uint32_t minus_infinity = 0xff80ff80u;

  static __device__ std::uint32_t max(std::uint32_t a, std::uint32_t b) {
    std::uint32_t larger;
    asm("max.bf16x2 %0, %1, %2;" : "=r"(larger) : "r"(a), "r"(b));
    return larger;
  }
  static __device__ float get(std::uint32_t word, int i) {
    return __uint_as_float(i == 0 ? word << 16 : word & 0xffff0000u);
  }
  static __device__ std::uint32_t pack(const float (&x)[2]) {
    std::uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(x[1]), "f"(x[0]));
    return word;
  }
  static __device__ float load(const Memory* at) {
    return sp2dpo::detail::float_from_bfloat16(*at);
  }
  static __device__ Memory rounded(float x) { return sp2dpo::detail::bfloat16_from_float(x); }
};

struct Float16 {
  using Memory = std::uint16_t;
  static constexpr int per_word = 2;
  static constexpr std::uint32_t minus_infinity = 0xfc00fc00u;

  static __device__ std::uint32_t max(std::uint32_t a, std::uint32_t b) {
    std::uint32_t larger;
    asm("max.f16x2 %0, %1, %2;" : "=r"(larger) : "r"(a), "r"(b));
    return larger;
  }
  static __device__ float get(std::uint32_t word, int i) {
    float x;
    const auto half = static_cast<std::uint16_t>(word >> (16 * i));
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
    return x;
  }
  static __device__ std::uint32_t pack(const float (&x)[2]) {
    std::uint32_t word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(x[1]), "f"(x[0]));
    return word;
  }
  static __device__ float load(const Memory* at) { return sp2dpo::detail::float_from_float16(*at); }
  static __device__ Memory rounded(float x) { return sp2dpo::detail::float16_from_float(x); }
};

/// One load or store moves four words.
inline constexpr int words = 4;
template <class Element>
inline constexpr int per_vector = words* Element::per_word;

/// Returns `word` with its element `i` replaced by `bits`.
template <class Element>
__device__ std::uint32_t with_element(std::uint32_t word, int i, std::uint32_t bits) {
  if constexpr (Element::per_word == 1) {
    return bits;
  } else {
    return __byte_perm(word, bits, i == 0 ? 0x3254 : 0x5410);
  }
}

/// Calls f with the element type of `dtype`, which is not float64.
template <class F>
void visit(DType dtype, const F& f) {
  switch (dtype) {
    case DType::float16:
      return f(Float16());
    case DType::bfloat16:
      return f(BFloat16());
    default:
      return f(Float32());
  }
}

}  // namespace sp2dpo::cuda
