// SPDX-License-Identifier: Apache-2.0
// Element types as vectors of float or double, and 2^x on them. Compiled once for every target, so
// that the include guard toggles with each inclusion.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

#include <hwy/highway.h>

#include <sp2dpo/loss/dtype.hpp>

#if defined(SP2DPO_CPU_LANES_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SP2DPO_CPU_LANES_INL_HPP
#undef SP2DPO_CPU_LANES_INL_HPP
#else
#define SP2DPO_CPU_LANES_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace sp2dpo::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <class Lane>
using Tag = hn::ScalableTag<Lane>;
template <class Lane>
using Vector = hn::Vec<Tag<Lane>>;

// Elements are loaded and stored in steps of two vectors, in whatever order suits the type: most
// 16-bit elements are halves of 32-bit lanes, so that widening and narrowing is a shift. Where the
// order matters, load_line() loads one vector in memory order.
template <class Lane>
struct Two {
  Vector<Lane> a, b;
};

template <class T>
struct Native {
  using Memory = T;
  using Lane = T;
  static constexpr Memory minus_infinity = -std::numeric_limits<T>::infinity();

  static Two<T> load(const T* from) {
    const Tag<T> d;
    return {hn::LoadU(d, from), hn::LoadU(d, from + hn::Lanes(d))};
  }
  static Vector<T> load_line(const T* from) { return hn::LoadU(Tag<T>(), from); }
  static void store(Two<T> value, T* to) {
    const Tag<T> d;
    hn::StoreU(value.a, d, to);
    hn::StoreU(value.b, d, to + hn::Lanes(d));
  }
};

using Bits = Vector<std::uint32_t>;

// As many 16-bit elements as a vector has 32-bit lanes, in memory order.
inline Bits load_words(const std::uint16_t* from) {
  return hn::PromoteTo(Tag<std::uint32_t>(),
                       hn::LoadU(hn::Rebind<std::uint16_t, Tag<std::uint32_t>>(), from));
}

struct Bfloat16 {
  using Memory = std::uint16_t;
  using Lane = float;
  static constexpr Memory minus_infinity = 0xff80;

  static Two<float> load(const Memory* from) {
    const Tag<float> d;
    const Tag<std::uint32_t> bits;
    const auto both = hn::LoadU(bits, reinterpret_cast<const std::uint32_t*>(from));
    return {hn::BitCast(d, hn::ShiftLeft<16>(both)),
            hn::BitCast(d, hn::And(both, hn::Set(bits, 0xffff0000u)))};
  }
  static Vector<float> load_line(const Memory* from) {
    const Tag<float> d;
    return hn::BitCast(d, hn::ShiftLeft<16>(load_words(from)));
  }

  static void store(Two<float> value, Memory* to) {
    const Tag<std::uint32_t> bits;
    const auto even = hn::ShiftRight<16>(round(value.a));
    const auto odd = hn::And(round(value.b), hn::Set(bits, 0xffff0000u));
    hn::StoreU(hn::Or(even, odd), bits, reinterpret_cast<std::uint32_t*>(to));
  }

 private:
  // Rounds to nearest, ties to even; Highway's own conversion truncates. No NaN here has low bits
  // that could carry over: those of the input are widened bfloat16s, and the others are made here.
  static Bits round(Vector<float> value) {
    const Tag<std::uint32_t> d;
    const auto word = hn::BitCast(d, value);
    const auto odd = hn::And(hn::ShiftRight<16>(word), hn::Set(d, 1));
    return hn::Add(word, hn::Add(odd, hn::Set(d, 0x7fff)));
  }
};

struct Float16 {
  using Memory = std::uint16_t;
  using Lane = float;
  static constexpr Memory minus_infinity = 0xfc00;

#if HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON
  static Two<float> load(const Memory* from) {
    const Tag<float> d;
    return {load_line(from), load_line(from + hn::Lanes(d))};
  }
  static Vector<float> load_line(const Memory* from) {
    return hn::PromoteTo(Tag<float>(), hn::BitCast(half, hn::LoadU(bits, from)));
  }
  static void store(Two<float> value, Memory* to) {
    const Tag<float> d;
    narrow(value.a, to);
    narrow(value.b, to + hn::Lanes(d));
  }

 private:
  static constexpr hn::Rebind<hwy::float16_t, Tag<float>> half{};
  static constexpr hn::Rebind<std::uint16_t, Tag<float>> bits{};

  static void narrow(Vector<float> value, Memory* to) {
    hn::StoreU(hn::BitCast(bits, hn::DemoteTo(half, value)), bits, to);
  }
#else
  // The other targets have no conversion instruction, and Highway's substitute truncates.
  static Two<float> load(const Memory* from) {
    const Tag<std::uint32_t> bits;
    const auto both = hn::LoadU(bits, reinterpret_cast<const std::uint32_t*>(from));
    return {widen(hn::And(both, hn::Set(bits, 0xffffu))), widen(hn::ShiftRight<16>(both))};
  }
  static Vector<float> load_line(const Memory* from) {
    return widen(load_words(from));
  }

  static void store(Two<float> value, Memory* to) {
    const Tag<std::uint32_t> bits;
    const auto both = hn::Or(narrow(value.a), hn::ShiftLeft<16>(narrow(value.b)));
    hn::StoreU(both, bits, reinterpret_cast<std::uint32_t*>(to));
  }

 private:
  // Does what detail::float_from_float16 does.
  static Vector<float> widen(Bits half) {
    const Tag<float> d;
    const Tag<std::uint32_t> bits;
    const Tag<std::int32_t> order;
    const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(bits, 0x8000u)));
    const auto magnitude = hn::And(half, hn::Set(bits, 0x7fffu));
    const auto digits = hn::ShiftLeft<13>(magnitude);
    const auto scaled = hn::BitCast(bits, hn::Mul(hn::BitCast(d, digits), hn::Set(d, 0x1p112f)));
    const auto special = hn::MaskFromVec(hn::BitCast(
        bits,
        hn::VecFromMask(order, hn::Gt(hn::BitCast(order, magnitude), hn::Set(order, 0x7bff)))));
    const auto word = hn::IfThenElse(special, hn::Or(digits, hn::Set(bits, 0x7f800000u)), scaled);
    return hn::BitCast(d, hn::Or(word, sign));
  }

  // Does what detail::float16_from_float does.
  static Bits narrow(Vector<float> value) {
    const Tag<float> d;
    const Tag<std::uint32_t> bits;
    const Tag<std::int32_t> order;
    const auto word = hn::BitCast(bits, value);
    const auto sign = hn::And(hn::ShiftRight<16>(word), hn::Set(bits, 0x8000u));
    const auto magnitude = hn::And(word, hn::Set(bits, 0x7fffffffu));
    const auto above = [&](std::int32_t limit) HWY_ATTR {
      return hn::MaskFromVec(hn::BitCast(
          bits,
          hn::VecFromMask(order, hn::Gt(hn::BitCast(order, magnitude), hn::Set(order, limit)))));
    };
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(bits, 1));
    const auto normal = hn::ShiftRight<13>(
        hn::Sub(hn::Add(magnitude, hn::Add(odd, hn::Set(bits, 0xfff))), hn::Set(bits, 0x38000000)));
    const auto subnormal =
        hn::Sub(hn::BitCast(bits, hn::Add(hn::BitCast(d, magnitude), hn::Set(d, 0.5f))),
                hn::Set(bits, 0x3f000000));
    auto half = hn::IfThenElse(above(0x387fffff), normal, subnormal);
    half = hn::IfThenElse(above(0x477fffff), hn::Set(bits, 0x7c00), half);
    half = hn::IfThenElse(above(0x7f800000), hn::Set(bits, 0x7e00), half);
    return hn::Or(half, sign);
  }
#endif
};

template <class Element>
std::size_t step() {
  return 2 * hn::Lanes(Tag<typename Element::Lane>());
}

// The elements at the end of a row, fewer than step(), padded to a step with `filler`.
template <class Element>
class Tail {
 public:
  using Memory = typename Element::Memory;

  Tail(const Memory* from, std::size_t count, Memory filler) : count_(count) {
    std::memcpy(buffer_, from, count * sizeof(Memory));
    for (std::size_t i = count; i < step<Element>(); ++i) buffer_[i] = filler;
  }

  Memory* data() { return buffer_; }
  void copy_to(Memory* to) const { std::memcpy(to, buffer_, count_ * sizeof(Memory)); }

 private:
  HWY_ALIGN Memory buffer_[2 * hn::MaxLanes(Tag<typename Element::Lane>())];
  std::size_t count_;
};

template <class Lane>
struct Exp2;

// Minimax polynomials for 2^f on [−1/2, 1/2] by relative error: 1.6e-8 and 2e-17.
template <>
struct Exp2<float> {
  static constexpr float log2e = 1.44269504f;
  static constexpr int digits = 23, bias = 127;
  static constexpr float coefficients[] = {1.53458124e-4f,
                                           1.33999309e-3f,
                                           9.61848907e-3f,
                                           5.55032863e-2f,
                                           2.40226462e-1f,
                                           6.93147182e-1f,
                                           1.0f};
};
template <>
struct Exp2<double> {
  static constexpr double log2e = 1.4426950408889634;
  static constexpr int digits = 52, bias = 1023;
  static constexpr double coefficients[] = {
      4.077993856246354e-10,  7.072570445469294e-09, 1.0180648196555812e-07, 1.3215442675115585e-06,
      1.5252727383872463e-05, 1.5403530441572598e-4, 1.3333558153441334e-3,  9.618129107607003e-3,
      5.5504108664790386e-2,  2.4022650695910097e-1, 6.931471805599457e-1,   1.0};
};

// Returns floor if x is below it. NaN stays NaN, which not every target's Max guarantees.
template <class Lane>
Vector<Lane> not_below(Vector<Lane> floor, Vector<Lane> x) {
#if HWY_TARGET <= HWY_SSE4
  return hn::Max(floor, x);
#else
  return hn::IfThenElse(hn::Lt(x, floor), floor, x);
#endif
}

// Returns x · log2e − k, rounded once. Without fused multiply-add the product is rounded by itself,
// which for small logits is within 2e-8 · |x|; for `large` ones, double takes over.
template <class Lane>
Vector<Lane> exponent_argument(Vector<Lane> x, Vector<Lane> minus_k, [[maybe_unused]] bool large) {
  const Tag<Lane> d;
#if !(HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON)
  if (large) {
    HWY_ALIGN Lane lanes[hn::MaxLanes(Tag<Lane>())];
    hn::Store(x, d, lanes);
    const auto k = static_cast<double>(hn::GetLane(minus_k));
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
      const double y = static_cast<double>(lanes[i]) * static_cast<double>(Exp2<Lane>::log2e) + k;
      lanes[i] = static_cast<Lane>(y < -1e30 ? -1e30 : y);  // in range; NaN passes
    }
    return hn::Load(d, lanes);
  }
#endif
  return hn::MulAdd(x, hn::Set(d, Exp2<Lane>::log2e), minus_k);
}

// Whether logits with this k are large, in the sense of exponent_argument().
template <class Lane>
bool is_large(Lane k) {
  return k > Lane(16384) || k < Lane(-16384);
}

// Returns 2^(x · log2e − k) for an integer k that is at least the largest x · log2e, or nearly; 0
// if that is below the smallest normal number, NaN for NaN.
template <class Lane>
Vector<Lane> exp2_from(Vector<Lane> x, Vector<Lane> minus_k, bool large) {
  using Constants = Exp2<Lane>;
  const Tag<Lane> d;
  const hn::RebindToUnsigned<Tag<Lane>> bits;
  // Adding this rounds to an integer and leaves it, biased, in the lowest bits of the sum: an
  // exponent once it is shifted there. The lowest argument allowed gives the exponent of 0.
  const auto shifter = hn::Set(
      d, static_cast<Lane>(std::uint64_t{3} << (Constants::digits - 1)) + Lane(Constants::bias));
  const auto lowest = hn::Set(d, Lane(-Constants::bias));

  const auto y = not_below<Lane>(lowest, exponent_argument<Lane>(x, minus_k, large));
  const auto shifted = hn::Add(y, shifter);
  const auto f = hn::Sub(y, hn::Sub(shifted, shifter));
  auto power = hn::Set(d, Constants::coefficients[0]);
  for (std::size_t i = 1; i < std::size(Constants::coefficients); ++i)
    power = hn::MulAdd(power, f, hn::Set(d, Constants::coefficients[i]));
  const auto scale = hn::BitCast(d, hn::ShiftLeft<Constants::digits>(hn::BitCast(bits, shifted)));
  return hn::Mul(power, scale);
}

// Calls f with the element type of dtype.
template <class F>
void visit(DType dtype, const F& f) {
  switch (dtype) {
    case DType::float16:
      return f(Float16());
    case DType::bfloat16:
      return f(Bfloat16());
    case DType::float32:
      return f(Native<float>());
    case DType::float64:
      return f(Native<double>());
  }
}

}  // namespace
}  // namespace sp2dpo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
