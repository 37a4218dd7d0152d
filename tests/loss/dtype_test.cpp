// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include <sp2dpo/loss/dtype.hpp>

namespace sp2dpo {
namespace {

/// A 16-bit format by its definition: `fraction` bits after the point, exponents from
/// `lowest`.
struct Format {
  const char* name;
  int fraction;
  int lowest;  ///< exponent of the smallest normal number
  std::uint16_t infinity;
  float (*to_float)(std::uint16_t);
  std::uint16_t (*from_float)(float);

  [[nodiscard]] double value(std::uint16_t bits) const {
    const int magnitude = bits & 0x7fff;
    const int exponent = magnitude >> fraction;
    const int digits = magnitude & ((1 << fraction) - 1);
    const double size =
        exponent == 0 ? std::ldexp(digits, lowest - fraction)
                      : std::ldexp(digits + (1 << fraction), lowest - fraction + exponent - 1);
    return (bits & 0x8000) != 0 ? -size : size;
  }
};

class SixteenBits : public ::testing::TestWithParam<Format> {};

INSTANTIATE_TEST_SUITE_P(
    DType, SixteenBits,
    ::testing::Values(Format{"float16", 10, -14, 0x7c00, detail::float_from_float16,
                             detail::float16_from_float},
                      Format{"bfloat16", 7, -126, 0x7f80, detail::float_from_bfloat16,
                             detail::bfloat16_from_float}),
    [](const auto& format) { return format.param.name; });

TEST_P(SixteenBits, EveryPatternRoundTrips) {
  const Format format = GetParam();
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = format.to_float(bits);
    if ((bits & 0x7fff) > format.infinity) {
      ASSERT_TRUE(std::isnan(value)) << i;
      ASSERT_TRUE(std::isnan(format.to_float(format.from_float(value)))) << i;
      continue;
    }
    if ((bits & 0x7fff) == format.infinity) {
      ASSERT_TRUE(std::isinf(value)) << i;
      ASSERT_EQ(std::signbit(value), bits > 0x7fff) << i;
    } else {
      ASSERT_EQ(value, format.value(bits)) << i;
    }
    ASSERT_EQ(format.from_float(value), bits) << i;
  }
}

// Midpoints decide rounding: if it is right there and next to them, it is right everywhere.
TEST_P(SixteenBits, RoundToNearestEven) {
  const Format format = GetParam();
  for (std::uint16_t low = 0; low < format.infinity; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    // Infinity stands where the next number would.
    const auto middle = static_cast<float>((format.value(low) + format.value(high)) / 2);
    const std::uint16_t even = low % 2 == 0 ? low : high;
    for (const int sign : {0, 0x8000}) {
      const float m = sign != 0 ? -middle : middle;
      const float away = std::copysign(std::numeric_limits<float>::infinity(), m);
      ASSERT_EQ(format.from_float(m), sign | even) << m;
      ASSERT_EQ(format.from_float(std::nextafter(m, 0.0f)), sign | low) << m;
      ASSERT_EQ(format.from_float(std::nextafter(m, away)), sign | high) << m;
    }
  }
}

TEST_P(SixteenBits, OverflowToInfinity) {
  const Format format = GetParam();
  EXPECT_EQ(format.from_float(std::numeric_limits<float>::max()), format.infinity);
  EXPECT_EQ(format.from_float(-std::numeric_limits<float>::max()), 0x8000 | format.infinity);
}

#if defined(__FLT16_MAX__) && defined(__SSE2__)
TEST(Float16, AgreesWithTheCompilersOwn) {
  for (std::uint64_t i = 0; i < 0x100000000; i += 4099) {  // a prime: all digits vary
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(i));
    if (std::isnan(value)) continue;
    const auto expected = std::bit_cast<std::uint16_t>(static_cast<_Float16>(value));
    ASSERT_EQ(detail::float16_from_float(value), expected) << value;
  }
}
#endif

TEST(DType, KnowsSizesAndNames) {
  EXPECT_EQ(size_of(DType::float16), 2u);
  EXPECT_EQ(size_of(DType::bfloat16), 2u);
  EXPECT_EQ(size_of(DType::float32), sizeof(float));
  EXPECT_EQ(size_of(DType::float64), sizeof(double));
  EXPECT_STREQ(name_of(DType::float16), "float16");
  EXPECT_STREQ(name_of(DType::bfloat16), "bfloat16");
  EXPECT_STREQ(name_of(DType::float32), "float32");
  EXPECT_STREQ(name_of(DType::float64), "float64");
}

/// Memory need not be aligned to the element, as that of a packed file is not.
TEST(DType, LoadsAndStoresAtAnyAddress) {
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64})
    for (std::size_t shift = 0; shift < 8; ++shift) {
      alignas(8) unsigned char memory[64]{};
      detail::store(memory + shift, dtype, 2, -1.5);
      EXPECT_EQ(detail::load(memory + shift, dtype, 2), -1.5) << name_of(dtype) << " " << shift;
      EXPECT_EQ(detail::load(memory + shift, dtype, 1), 0) << name_of(dtype) << " " << shift;
    }
}

TEST(DType, LoadsAndStoresEachElementType) {
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64}) {
    std::array<double, 3> memory{};
    detail::store(memory.data(), dtype, 0, -0.375);
    detail::store(memory.data(), dtype, 2, 1.5);
    EXPECT_EQ(detail::load(memory.data(), dtype, 0), -0.375) << name_of(dtype);
    EXPECT_EQ(detail::load(memory.data(), dtype, 1), 0.0) << name_of(dtype);
    EXPECT_EQ(detail::load(memory.data(), dtype, 2), 1.5) << name_of(dtype);
  }
}

}  // namespace
}  // namespace sp2dpo
