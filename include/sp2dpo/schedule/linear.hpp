// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>

namespace sp2dpo {

/// A closed interval, low < high.
struct Interval {
  double low;
  double high;

  friend bool operator==(const Interval&, const Interval&) = default;
};

/// SP²DPO's map (arXiv:2601.22385): beta = envelope.low + width of the envelope · share, where
/// share = clip((gap − range.low) / (range.high − range.low), 0, 1). Aggregate first, map and clip
/// once: clipping does not commute with a mean. NaN stays NaN, which no schedule takes.
///
///     Linear()({.value = 0.5})   // 0.165, the middle of [0.03, 0.3]
class Linear {
 public:
  static constexpr Interval default_envelope{0.03, 0.3};
  static constexpr Interval default_gap_range{0, 1};

  /// Throws InvalidArgument unless 0 < envelope.low <= envelope.high and gap_range.low <
  /// gap_range.high, all finite.
  explicit Linear(Interval envelope = default_envelope, Interval gap_range = default_gap_range)
      : envelope_(envelope), gap_range_(gap_range) {
    detail::require(
        0 < envelope.low && envelope.low <= envelope.high && std::isfinite(envelope.high),
        "the envelope of beta [{}, {}] must be positive, finite and in order", envelope.low,
        envelope.high);
    detail::require(std::isfinite(gap_range.low) && std::isfinite(gap_range.high) &&
                        gap_range.low < gap_range.high,
                    "the gap range [{}, {}] must be finite and in order", gap_range.low,
                    gap_range.high);
  }

  [[nodiscard]] double operator()(const SemanticGap& gap) const {
    if (std::isnan(gap.value)) return gap.value;  // std::lerp would make the upper end of it
    const double share = (gap.value - gap_range_.low) / (gap_range_.high - gap_range_.low);
    return std::lerp(envelope_.low, envelope_.high, std::clamp(share, 0.0, 1.0));
  }

  [[nodiscard]] Clip clip(const SemanticGap& gap) const {
    if (gap.value < gap_range_.low) return Clip::low;
    if (gap.value > gap_range_.high) return Clip::high;
    return Clip::none;
  }

  [[nodiscard]] Interval envelope() const noexcept { return envelope_; }
  [[nodiscard]] Interval gap_range() const noexcept { return gap_range_; }

 private:
  Interval envelope_;
  Interval gap_range_;
};

static_assert(ClippingMapper<Linear>);

}  // namespace sp2dpo
