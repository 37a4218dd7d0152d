// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include <cuda_runtime_api.h>

#include <sp2dpo/loss/dtype.hpp>

/// Arithmetic that both nvcc and the host's compiler compile, for a comparison of the results.
namespace sp2dpo::ptx {

struct Words {
  std::int64_t a = 0, b = 0;
  double x = 0, y = 0;
};

/// Exact on both sides: shifts, products, quotients, comparisons and selections of all widths.
struct Integers {
  SP2DPO_HD Words operator()(const Words& in) const {
    const auto ua = static_cast<std::uint64_t>(in.a), ub = static_cast<std::uint64_t>(in.b);
    const auto low = static_cast<std::int32_t>(ua), high = static_cast<std::int32_t>(ua >> 32);
    const auto divisor = static_cast<std::int32_t>(ub | 1);
    const auto small = static_cast<std::int16_t>(ub);
    const auto byte = static_cast<std::uint8_t>(ub >> 8);
    std::int64_t a = in.a / (in.b | 1) + in.a % (in.b | 1);
    a = static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + (ua >> (ub & 63)) +
                                  (ua << (ub & 31)) + ua * ub);
    a ^= (in.a >> 7) & (low < high ? ~std::int64_t{0} : in.b);
    std::int64_t b = static_cast<std::int64_t>(low) * high;
    b += divisor == -1 ? 0 : low / divisor + low % divisor;
    b += (static_cast<std::uint32_t>(low) >> 3) / (static_cast<std::uint32_t>(byte) + 1);
    b ^= small * 3 + (small < 0 ? byte : -byte);
    b += in.a < in.b ? (ua < ub ? 1 : 2) : (ua < ub ? 3 : 4);
    return {a, b, 0, 0};
  }
};

/// Correctly rounded on both sides: conversions and the basic operations, without contraction.
struct Floats {
  SP2DPO_HD Words operator()(const Words& in) const {
    using std::floor, std::ceil, std::trunc, std::fmin, std::fmax, std::fabs, std::sqrt, std::fma;
    const auto f = static_cast<float>(in.x), g = static_cast<float>(in.y);
    const auto half = detail::float16_from_float(f);
    const auto brain = detail::bfloat16_from_float(g);
    const auto clipped = fmin(fmax(f, -1e9f), 1e9f);
    std::int64_t a = static_cast<std::int64_t>(clipped) * 3 + static_cast<std::int32_t>(clipped);
    a ^= static_cast<std::int64_t>(half) << 20 ^ static_cast<std::int64_t>(brain) << 40;
    a += (in.x < in.y) + 2 * (in.x <= in.y) + 4 * !(in.x > in.y) + 8 * (f != g) + 16 * (f == g);
    const auto b = static_cast<std::int64_t>(detail::bits_as<std::uint32_t>(f / g)) +
                   static_cast<std::int64_t>(detail::bits_as<std::uint32_t>(sqrt(fabs(f))));
    const double x = fma(in.x, in.y, floor(in.x)) / (fabs(in.y) + 1);
    const double y = fmax(ceil(in.y), trunc(in.x)) + static_cast<double>(in.a) +
                     static_cast<double>(detail::float_from_float16(half));
    return {a, b, x, y};
  }
};

/// Functions of the mathematical library, whose last places may differ between the sides.
struct Functions {
  SP2DPO_HD Words operator()(const Words& in) const {
    using std::exp, std::log, std::log1p, std::fabs, std::exp2, std::tanh;
    const auto f = static_cast<float>(in.x) * 0x1p-3f;
    return {0, 0, exp(in.x) + log(fabs(in.y) + 1e-300) * log1p(fabs(in.x)) + tanh(in.y),
            static_cast<double>(exp(f) + log(fabs(f) + 1e-30f) + exp2(f))};
  }
};

void integers_on_device(const Words* in, Words* out, unsigned blocks);
void floats_on_device(const Words* in, Words* out, unsigned blocks);
void functions_on_device(const Words* in, Words* out, unsigned blocks);
void warps_on_device(const Words* in, Words* out);

/// Uses variables of the module: a table {1, 10, 100, 0} in constant memory, and a counter that
/// begins at 40. Adds table[i % 4] to the sum for each of 128 threads i, adds 2 to the counter, and
/// increments *word, which must be 7 · 2^40.
void use_variables_on_device(int* sum, unsigned long long* word, int* count);
cudaError_t set_variable(const int* values);  ///< the table
cudaError_t get_variable(int* value);         ///< the counter

}  // namespace sp2dpo::ptx
