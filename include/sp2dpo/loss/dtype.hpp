// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <sp2dpo/loss/detail/host_device.hpp>

namespace sp2dpo {

/// The element types that kernels read and write, chosen at run time.
enum class DType : std::uint8_t { float16, bfloat16, float32, float64 };

/// Bytes of one element.
[[nodiscard]] constexpr std::size_t size_of(DType dtype) {
  return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2;
}

/// The type as messages spell it, such as "bfloat16".
[[nodiscard]] constexpr const char* name_of(DType dtype) {
  constexpr const char* names[] = {"float16", "bfloat16", "float32", "float64"};
  return names[static_cast<std::size_t>(dtype)];
}

namespace detail {

/// Replaces std::bit_cast, which is host-only under nvcc.
template <class To, class From>
[[nodiscard]] SP2DPO_HD constexpr To bits_as(const From& value) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, value);
}

[[nodiscard]] SP2DPO_HD inline float float_from_bfloat16(std::uint16_t bits) {
  return bits_as<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Rounds to nearest, ties to even; NaN stays NaN.
[[nodiscard]] SP2DPO_HD inline std::uint16_t bfloat16_from_float(float value) {
  const auto bits = bits_as<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

[[nodiscard]] SP2DPO_HD inline float float_from_float16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u)  // infinity or NaN
    return bits_as<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  // The shift aligns a subnormal's digits with a normal number's; the product fixes the exponent.
  const float scaled = bits_as<float>(magnitude << 13) * 0x1p112f;
  return bits_as<float>(bits_as<std::uint32_t>(scaled) | sign);
}

/// Rounds to nearest, ties to even. Overflow becomes infinity; NaN stays NaN.
[[nodiscard]] SP2DPO_HD inline std::uint16_t float16_from_float(float value) {
  const auto bits = bits_as<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Below 2^-14, adding 0.5 leaves the rounded subnormal in the lowest bits of the sum.
    const float sum = bits_as<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (bits_as<std::uint32_t>(sum) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

/// Reads element i of an array. On the host it may lie at any address; on a device the compiler
/// would read it byte by byte.
template <class T>
[[nodiscard]] SP2DPO_HD inline T read_element(const void* data, std::int64_t i) {
#ifdef __CUDA_ARCH__
  return static_cast<const T*>(data)[i];
#else
  T value;
  __builtin_memcpy(&value, static_cast<const char*>(data) + i * std::int64_t{sizeof(T)}, sizeof(T));
  return value;
#endif
}

/// Writes element i of an array likewise.
template <class T>
SP2DPO_HD inline void write_element(void* data, std::int64_t i, T value) {
#ifdef __CUDA_ARCH__
  static_cast<T*>(data)[i] = value;
#else
  __builtin_memcpy(static_cast<char*>(data) + i * std::int64_t{sizeof(T)}, &value, sizeof(T));
#endif
}

[[nodiscard]] SP2DPO_HD inline double load(const void* data, DType dtype, std::int64_t i) {
  switch (dtype) {
    case DType::float16:
      return float_from_float16(read_element<std::uint16_t>(data, i));
    case DType::bfloat16:
      return float_from_bfloat16(read_element<std::uint16_t>(data, i));
    case DType::float32:
      return read_element<float>(data, i);
    case DType::float64:
      break;
  }
  return read_element<double>(data, i);
}

/// Rounds once, from double to the element type; the 16-bit types go through float.
SP2DPO_HD inline void store(void* data, DType dtype, std::int64_t i, double value) {
  switch (dtype) {
    case DType::float16:
      write_element<std::uint16_t>(data, i, float16_from_float(static_cast<float>(value)));
      return;
    case DType::bfloat16:
      write_element<std::uint16_t>(data, i, bfloat16_from_float(static_cast<float>(value)));
      return;
    case DType::float32:
      write_element<float>(data, i, static_cast<float>(value));
      return;
    case DType::float64:
      break;
  }
  write_element<double>(data, i, value);
}

}  // namespace detail
}  // namespace sp2dpo
