// SPDX-License-Identifier: Apache-2.0
#include "operations.hpp"

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "approximation.hpp"

namespace sp2dpo::ptx {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;
using f16 = _Float16;
struct bf16 {
  u16 bits;
};

template <std::size_t bytes>
using Bits = std::conditional_t<
    bytes == 1, u8, std::conditional_t<bytes == 2, u16, std::conditional_t<bytes == 4, u32, u64>>>;

template <class T>
T from_slot(u64 slot) {
  if constexpr (std::is_same_v<T, bool>)
    return (slot & 1) != 0;
  else
    return std::bit_cast<T>(static_cast<Bits<sizeof(T)>>(slot));
}

template <class T>
u64 to_slot(T value) {
  if constexpr (std::is_same_v<T, bool>)
    return value ? 1 : 0;
  else
    return std::bit_cast<Bits<sizeof(T)>>(value);
}

/// Applies a stateless lambda to the sources, in order.
template <class F, class Result, class... Arguments>
void apply(const Instruction& in, u64* slots) {
  slots[in.target[0]] = [&]<std::size_t... i>(std::index_sequence<i...>) {
    return to_slot<Result>(F()(from_slot<Arguments>(slots[in.source[i]])...));
  }
  (std::index_sequence_for<Arguments...>());
}

class Table {
 public:
  Table();

  [[nodiscard]] Operation find(std::string_view opcode) const {
    const auto found = operations_.find(std::string(opcode));
    return found == operations_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, _] : operations_)
      if (name.find('.') != std::string::npos) names.push_back(name);
    return names;
  }

 private:
  template <class F>
  void add(const std::string& opcode, F) {
    operations_[opcode] = operation_of<F>(&F::operator());
  }
  template <class F, class Result, class... Arguments>
  static Operation operation_of(Result (F::*)(Arguments...) const) {
    return apply<F, Result, Arguments...>;
  }

  template <class T>
  void add_logic(const std::string& type);
  template <class T>
  void add_integer(const std::string& type);
  template <class T, class Wide>
  void add_wide(const std::string& type);
  template <int mode, class T>
  void add_directed(const std::string& type);
  template <class T>
  void add_float(const std::string& type);
  template <class T>
  void add_comparisons(const std::string& type);
  template <class To>
  void add_conversions_to(const std::string& to);
  template <class T>
  void add_float_conversions(const std::string& type);
  void add_half();
  void add_approximations();
  void add_words();

  std::unordered_map<std::string, Operation> operations_;
};

template <class T>
void Table::add_logic(const std::string& type) {
  add("and." + type, [](T a, T b) { return static_cast<T>(a & b); });
  add("or." + type, [](T a, T b) { return static_cast<T>(a | b); });
  add("xor." + type, [](T a, T b) { return static_cast<T>(a ^ b); });
  if constexpr (std::is_same_v<T, bool>)
    add("not." + type, [](T a) { return !a; });
  else
    add("not." + type, [](T a) { return static_cast<T>(~a); });
  add("mov." + type, [](T a) { return a; });
}

// Computes in unsigned 64 bits, where overflow is defined, and converts back.
template <class T>
void Table::add_integer(const std::string& type) {
  add("add." + type, [](T a, T b) { return static_cast<T>(u64(a) + u64(b)); });
  add("sub." + type, [](T a, T b) { return static_cast<T>(u64(a) - u64(b)); });
  add("mul.lo." + type, [](T a, T b) { return static_cast<T>(u64(a) * u64(b)); });
  add("mad.lo." + type, [](T a, T b, T c) { return static_cast<T>(u64(a) * u64(b) + u64(c)); });
  using Double = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  add("mul.hi." + type,
      [](T a, T b) { return static_cast<T>((Double(a) * Double(b)) >> (8 * sizeof(T))); });
  // Division by zero is undefined in PTX, and so is that of the lowest number by −1.
  add("div." + type,
      [](T a, T b) { return static_cast<T>(b == 0 ? Double(-1) : Double(a) / Double(b)); });
  add("rem." + type,
      [](T a, T b) { return static_cast<T>(b == 0 ? Double(-1) : Double(a) % Double(b)); });
  add("min." + type, [](T a, T b) { return std::min(a, b); });
  add("max." + type, [](T a, T b) { return std::max(a, b); });
  add("neg." + type, [](T a) { return static_cast<T>(u64{0} - u64(a)); });
  add("abs." + type, [](T a) { return a < 0 ? static_cast<T>(u64{0} - u64(a)) : a; });
  add("mov." + type, [](T a) { return a; });
  constexpr u32 bits = 8 * sizeof(T);
  add("shr." + type,
      [](T a, u32 b) -> T { return b >= bits ? (a < 0 ? T(-1) : T(0)) : T(a >> b); });
  add_comparisons<T>(type);
}

template <class T, class Wide>
void Table::add_wide(const std::string& type) {
  add("mul.wide." + type, [](T a, T b) { return static_cast<Wide>(u64(a) * u64(b)); });
  add("mad.wide." + type,
      [](T a, T b, Wide c) { return static_cast<Wide>(u64(a) * u64(b) + u64(c)); });
}

/// a · b + c under one of the rounding modes of <cfenv>.
template <int mode, class T>
T directed(T a, T b, T c) {
  std::fesetround(mode);
  // volatile keeps the compiler from computing the sum outside of the two calls.
  const volatile T factor = a;
  const volatile T result = std::fma(T(factor), b, c);
  std::fesetround(FE_TONEAREST);
  return result;
}

template <int mode, class T>
void Table::add_directed(const std::string& type) {
  add("add." + type, [](T a, T b) { return directed<mode>(a, T(1), b); });
  add("sub." + type, [](T a, T b) { return directed<mode>(a, T(1), -b); });
  // The addend preserves the sign of a zero product.
  add("mul." + type, [](T a, T b) {
    return directed<mode>(a, b, T(std::signbit(a) != std::signbit(b) ? -0.0 : 0.0));
  });
  add("fma." + type, [](T a, T b, T c) { return directed<mode>(a, b, c); });
}

template <class T>
void Table::add_float(const std::string& type) {
  add("add." + type, [](T a, T b) { return a + b; });
  add("sub." + type, [](T a, T b) { return a - b; });
  add("mul." + type, [](T a, T b) { return a * b; });
  add("div." + type, [](T a, T b) { return a / b; });
  add("fma." + type, [](T a, T b, T c) { return std::fma(a, b, c); });
  add("rcp." + type, [](T a) { return T(1) / a; });
  add("sqrt." + type, [](T a) { return std::sqrt(a); });
  add("neg." + type, [](T a) { return -a; });
  add("abs." + type, [](T a) { return std::abs(a); });
  add("min." + type, [](T a, T b) { return std::fmin(a, b); });
  add("max." + type, [](T a, T b) { return std::fmax(a, b); });
  add("copysign." + type, [](T a, T b) { return std::copysign(b, a); });
  add("testp.finite." + type, [](T a) { return std::isfinite(a); });
  add("testp.notanumber." + type, [](T a) { return std::isnan(a); });
  add("testp.infinite." + type, [](T a) { return std::isinf(a); });
  add_directed<FE_TOWARDZERO, T>("rz." + type);
  add_directed<FE_DOWNWARD, T>("rm." + type);
  add_directed<FE_UPWARD, T>("rp." + type);
  add("mov." + type, [](T a) { return a; });
  add_comparisons<T>(type);
  add("setp.equ." + type, [](T a, T b) { return !(a < b || a > b); });
  add("setp.neu." + type, [](T a, T b) { return !(a == b); });
  add("setp.ltu." + type, [](T a, T b) { return !(a >= b); });
  add("setp.leu." + type, [](T a, T b) { return !(a > b); });
  add("setp.gtu." + type, [](T a, T b) { return !(a <= b); });
  add("setp.geu." + type, [](T a, T b) { return !(a < b); });
  add("setp.num." + type, [](T a, T b) { return !std::isnan(a) && !std::isnan(b); });
  add("setp.nan." + type, [](T a, T b) { return std::isnan(a) || std::isnan(b); });
}

template <class T>
void Table::add_comparisons(const std::string& type) {
  add("setp.eq." + type, [](T a, T b) { return a == b; });
  add("setp.ne." + type, [](T a, T b) { return a < b || a > b; });
  add("setp.lt." + type, [](T a, T b) { return a < b; });
  add("setp.le." + type, [](T a, T b) { return a <= b; });
  add("setp.gt." + type, [](T a, T b) { return a > b; });
  add("setp.ge." + type, [](T a, T b) { return a >= b; });
}

enum class To { nearest, zero, minus, plus };

template <To direction, class T>
T to_integer(T x) {
  if constexpr (direction == To::nearest) return std::nearbyint(x);
  if constexpr (direction == To::zero) return std::trunc(x);
  if constexpr (direction == To::minus) return std::floor(x);
  return std::ceil(x);
}

/// Clamps to the range of the integer type; NaN becomes 0.
template <class Integer, To direction, class T>
Integer saturated(T value) {
  const T x = to_integer<direction>(value);
  constexpr auto bound = [](int power) { return std::ldexp(T(1), power); };
  constexpr int digits = std::numeric_limits<Integer>::digits;
  if (std::isnan(x)) return 0;
  if (x >= bound(digits)) return std::numeric_limits<Integer>::max();
  if (x < (std::is_signed_v<Integer> ? -bound(digits) : T(0)))
    return std::numeric_limits<Integer>::min();
  return static_cast<Integer>(x);
}

template <class To_>
void Table::add_conversions_to(const std::string& to) {
  const auto from_integer = [&]<class From>(std::type_identity<From>, const std::string& from) {
    add("cvt." + to + '.' + from, [](From a) { return static_cast<To_>(a); });
  };
  from_integer(std::type_identity<u8>(), "u8");
  from_integer(std::type_identity<u16>(), "u16");
  from_integer(std::type_identity<u32>(), "u32");
  from_integer(std::type_identity<u64>(), "u64");
  from_integer(std::type_identity<s8>(), "s8");
  from_integer(std::type_identity<s16>(), "s16");
  from_integer(std::type_identity<s32>(), "s32");
  from_integer(std::type_identity<s64>(), "s64");
  if constexpr (std::is_integral_v<To_>) {
    const auto from_float = [&]<class From>(std::type_identity<From>, const std::string& from) {
      add("cvt.rni." + to + '.' + from, [](From a) { return saturated<To_, To::nearest>(a); });
      add("cvt.rzi." + to + '.' + from, [](From a) { return saturated<To_, To::zero>(a); });
      add("cvt.rmi." + to + '.' + from, [](From a) { return saturated<To_, To::minus>(a); });
      add("cvt.rpi." + to + '.' + from, [](From a) { return saturated<To_, To::plus>(a); });
    };
    from_float(std::type_identity<float>(), "f32");
    from_float(std::type_identity<double>(), "f64");
  }
}

template <class T>
void Table::add_float_conversions(const std::string& type) {
  const std::string same = type + '.' + type;
  add("cvt.rni." + same, [](T a) { return to_integer<To::nearest>(a); });
  add("cvt.rzi." + same, [](T a) { return to_integer<To::zero>(a); });
  add("cvt.rmi." + same, [](T a) { return to_integer<To::minus>(a); });
  add("cvt.rpi." + same, [](T a) { return to_integer<To::plus>(a); });
  add("cvt.f32." + type, [](T a) { return static_cast<float>(a); });
  add("cvt.f64." + type, [](T a) { return static_cast<double>(a); });
}

float widened(bf16 x) {
  return std::bit_cast<float>(u32{x.bits} << 16);
}

float widened(f16 x) {
  return x;
}

template <class Half>
Half narrowed(float x) {
  return static_cast<Half>(x);
}
template <>
bf16 narrowed<bf16>(float x) {
  const u32 bits = std::bit_cast<u32>(x);
  if (std::isnan(x)) return {0x7fff};
  return {static_cast<u16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <class Half>
u32 packed(float high, float low) {
  return u32{std::bit_cast<u16>(narrowed<Half>(high))} << 16 |
         std::bit_cast<u16>(narrowed<Half>(low));
}

/// Applies `choose` to the halves of two words.
template <class Half>
u32 by_halves(u32 a, u32 b, float (*choose)(float, float)) {
  const auto half = [](u32 word) { return widened(std::bit_cast<Half>(static_cast<u16>(word))); };
  return packed<Half>(choose(half(a >> 16), half(b >> 16)), choose(half(a), half(b)));
}

void Table::add_half() {
  add("cvt.f32.f16", [](f16 a) { return widened(a); });
  add("cvt.rn.f16.f32", [](float a) { return narrowed<f16>(a); });
  add("cvt.rn.f16x2.f32", [](float high, float low) { return packed<f16>(high, low); });
  add("max.f16x2", [](u32 a, u32 b) { return by_halves<f16>(a, b, std::fmax); });
  add("min.f16x2", [](u32 a, u32 b) { return by_halves<f16>(a, b, std::fmin); });
  add("cvt.f32.bf16", [](bf16 a) { return widened(a); });
  add("cvt.rn.bf16.f32", [](float a) { return narrowed<bf16>(a); });
  add("cvt.rn.bf16x2.f32", [](float high, float low) { return packed<bf16>(high, low); });
  add("max.bf16x2", [](u32 a, u32 b) { return by_halves<bf16>(a, b, std::fmax); });
  add("min.bf16x2", [](u32 a, u32 b) { return by_halves<bf16>(a, b, std::fmin); });
}

template <class T>
T off_by(T exact, double bound, T operand) {
  const double error = bound * approximation().of(std::bit_cast<Bits<sizeof(T)>>(operand));
  return static_cast<T>(exact * (1 + error));
}

float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

// The error bounds are those of the PTX manual.
float exp2_approx(float a) {
  return off_by(std::exp2(a), 0x1p-22, a);
}

float log2_approx(float a) {
  const float exact = std::log2(a);
  if (a > 0.5f && a < 2.0f)
    return static_cast<float>(exact + 0x1p-22 * approximation().of(std::bit_cast<u32>(a)));
  return off_by(exact, 0x1p-22, a);
}

void Table::add_approximations() {
  add("ex2.approx.f32", [](float a) { return exp2_approx(a); });
  add("ex2.approx.ftz.f32", [](float a) { return flushed(exp2_approx(flushed(a))); });
  add("lg2.approx.f32", [](float a) { return log2_approx(a); });
  add("lg2.approx.ftz.f32", [](float a) { return log2_approx(flushed(a)); });
  add("rcp.approx.f32", [](float a) { return off_by(1 / a, 0x1p-23, a); });
  add("rcp.approx.ftz.f32", [](float a) { return flushed(off_by(1 / flushed(a), 0x1p-23, a)); });
  add("rsqrt.approx.f32", [](float a) { return off_by(1 / std::sqrt(a), 0x1p-22, a); });
  add("sqrt.approx.f32", [](float a) { return off_by(std::sqrt(a), 0x1p-23, a); });
  add("div.full.f32", [](float a, float b) { return off_by(a / b, 0x1p-22, b); });
  add("div.approx.f32", [](float a, float b) { return off_by(a / b, 0x1p-22, b); });
  // The lower half of the result is zero.
  add("rcp.approx.ftz.f64", [](double a) {
    constexpr auto high = [](double x) {
      return std::bit_cast<double>(std::bit_cast<u64>(x) & 0xffffffff00000000u);
    };
    return high(off_by(1 / high(a), 0x1p-20, a));
  });
}

u32 permuted(u32 a, u32 b, u32 selector) {
  const u64 all = u64{b} << 32 | a;
  u32 result = 0;
  for (int i = 0; i < 4; ++i) {
    const u32 pick = selector >> (4 * i) & 15;
    const u32 byte = all >> (8 * (pick & 7)) & 255;
    const bool sign_only = (pick & 8) != 0;
    result |= (sign_only ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
  }
  return result;
}

u32 looked_up(u32 a, u32 b, u32 c, u32 table) {
  u32 result = 0;
  for (int i = 0; i < 8; ++i)
    if (table >> i & 1) result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return result;
}

u64 with_rank(u64 address, u32 rank) {
  return (address & ((u64{1} << rank_shift) - 1)) + ((u64{rank} + 1) << rank_shift);
}

/// Joins parts into one word, the first part lowest.
void pack(const Instruction& in, u64* slots) {
  u64 word = 0;
  const int bits = 8 * in.bytes;
  for (int i = 0; i < in.count; ++i)
    word |= (slots[in.source[i]] & (~u64{0} >> (64 - bits))) << (bits * i);
  slots[in.target[0]] = word;
}

void unpack(const Instruction& in, u64* slots) {
  const u64 word = slots[in.source[0]];
  const int bits = 8 * in.bytes;
  for (int i = 0; i < in.count; ++i)
    if (in.target[i] != no_slot)
      slots[in.target[i]] = word >> (bits * i) & (~u64{0} >> (64 - bits));
}

void Table::add_words() {
  add("shl.b32", [](u32 a, u32 b) { return b > 31 ? 0u : a << b; });
  add("shl.b64", [](u64 a, u32 b) { return b > 63 ? 0ul : a << b; });
  add("shl.b16", [](u16 a, u32 b) { return static_cast<u16>(b > 15 ? 0 : a << b); });
  for (const char* bits : {"16", "32", "64"})
    operations_[std::string("shr.b") + bits] = find(std::string("shr.u") + bits);
  add("shf.l.wrap.b32",
      [](u32 low, u32 high, u32 n) { return u32((u64{high} << 32 | low) << (n & 31) >> 32); });
  add("shf.r.wrap.b32",
      [](u32 low, u32 high, u32 n) { return u32((u64{high} << 32 | low) >> (n & 31)); });
  add("prmt.b32", [](u32 a, u32 b, u32 selector) { return permuted(a, b, selector); });
  add("lop3.b32", [](u32 a, u32 b, u32 c, u32 table) { return looked_up(a, b, c, table); });
  add("popc.b32", [](u32 a) { return u32(std::popcount(a)); });
  add("popc.b64", [](u64 a) { return u32(std::popcount(a)); });
  add("clz.b32", [](u32 a) { return u32(std::countl_zero(a)); });
  add("clz.b64", [](u64 a) { return u32(std::countl_zero(a)); });
  add("bfind.u32", [](u32 a) { return a == 0 ? ~0u : u32(31 - std::countl_zero(a)); });
  add("bfe.u32", [](u32 a, u32 first, u32 count) {
    return first > 31 ? 0u : u32((a >> first) & ((u64{1} << std::min(count, 32u)) - 1));
  });
  for (const char* type :
       {"b16", "u16", "s16", "b32", "u32", "s32", "b64", "u64", "s64", "f32", "f64"})
    add(std::string("selp.") + type, [](u64 a, u64 b, bool first) { return first ? a : b; });
  // Addresses. The parser adds the window of the thread's own block as a source.
  add("cvta.shared.u64", [](u64 a, u64 own) {
    return (a >> rank_shift) == 0 ? own + a : (shared_window << window_shift) + a;
  });
  add("cvta.to.shared.u64", [](u64 a) { return a - (shared_window << window_shift); });
  add("cvta.local.u64", [](u64 a) { return (local_window << window_shift) + a; });
  add("cvta.to.local.u64", [](u64 a) { return a - (local_window << window_shift); });
  add("cvta.param.u64", [](u64 a) { return (parameter_window << window_shift) + a; });
  for (const char* opcode : {"cvta.global.u64", "cvta.to.global.u64", "cvta.const.u64"})
    add(opcode, [](u64 a) { return a; });
  add("mapa.u64",
      [](u64 a, u32 rank) { return (shared_window << window_shift) + with_rank(a, rank); });
  add("mapa.shared::cluster.u32", [](u32 a, u32 rank) { return u32(with_rank(a, rank)); });
  add("isspacep.shared", [](u64 a) { return (a >> window_shift) == shared_window; });
  // Atomic operations: the first operand is the value in memory.
  add("atom.exch.b32", [](u32, u32 a) { return a; });
  add("atom.exch.b64", [](u64, u64 a) { return a; });
  add("atom.cas.b32", [](u32 old, u32 wanted, u32 a) { return old == wanted ? a : old; });
  add("atom.cas.b64", [](u64 old, u64 wanted, u64 a) { return old == wanted ? a : old; });
  operations_["pack"] = pack;
  operations_["unpack"] = unpack;
}

Table::Table() {
  add_logic<bool>("pred");
  add_logic<u16>("b16");
  add_logic<u32>("b32");
  add_logic<u64>("b64");
  add_integer<u16>("u16");
  add_integer<u32>("u32");
  add_integer<u64>("u64");
  add_integer<s16>("s16");
  add_integer<s32>("s32");
  add_integer<s64>("s64");
  add_comparisons<u16>("b16");
  add_comparisons<u32>("b32");
  add_comparisons<u64>("b64");
  add_wide<u16, u32>("u16");
  add_wide<u32, u64>("u32");
  add_wide<s16, s32>("s16");
  add_wide<s32, s64>("s32");
  add_float<float>("f32");
  add_float<double>("f64");
  add_conversions_to<u8>("u8");
  add_conversions_to<u16>("u16");
  add_conversions_to<u32>("u32");
  add_conversions_to<u64>("u64");
  add_conversions_to<s8>("s8");
  add_conversions_to<s16>("s16");
  add_conversions_to<s32>("s32");
  add_conversions_to<s64>("s64");
  add_conversions_to<float>("rn.f32");
  add_conversions_to<double>("rn.f64");
  add_float_conversions<float>("f32");
  add_float_conversions<double>("f64");
  add("cvt.sat.f32.f32", [](float a) { return a >= 0 ? std::fmin(a, 1.0f) : 0.0f; });  // 0 for NaN
  add("cvt.rn.f32.f64", [](double a) { return static_cast<float>(a); });
  add_half();
  add_approximations();
  add_words();
}

const Table& table() {
  static const Table all;
  return all;
}

}  // namespace

Operation find_operation(std::string_view opcode) {
  return table().find(opcode);
}

std::vector<std::string> operation_names() {
  return table().names();
}

}  // namespace sp2dpo::ptx
