// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/annotation.hpp>

/// Mappers from a pair's gap to its beta (docs/aggregators.md). Each of the library's mappers maps
/// NaN to NaN, which a schedule refuses.
namespace sp2dpo {

/// Maps a gap to the beta of its pair: finite, positive, and the same for the same gap. A lambda is
/// a BetaMapper. A mapper that depends on all gaps, such as Rank, is constructed from them.
template <class M>
concept BetaMapper = requires(const M& to_beta, const SemanticGap& gap) {
  { to_beta(gap) } -> std::same_as<double>;
};

/// The end of its range, if any, at which a mapper clipped a gap.
enum class Clip : std::uint8_t { none, low, high };

/// A BetaMapper that reports which gaps it clips, so that a schedule can count them.
template <class M>
concept ClippingMapper = BetaMapper<M> && requires(const M& to_beta, const SemanticGap& gap) {
  { to_beta.clip(gap) } -> std::same_as<Clip>;
};

/// A closed interval, low < high.
struct Interval {
  double low;
  double high;

  friend bool operator==(const Interval&, const Interval&) = default;
};

/// The mapper of SP²DPO (arXiv:2601.22385): beta = envelope.low + width of the envelope · share,
/// where share = clip((gap − range.low) / (range.high − range.low), 0, 1). Map the aggregated gap,
/// not each annotator's: clipping does not commute with a mean.
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
    if (std::isnan(gap.value)) return gap.value;  // std::clamp would return the upper end
    const double share = (gap.value - gap_range_.low) / (gap_range_.high - gap_range_.low);
    return std::lerp(envelope_.low, envelope_.high, std::clamp(share, 0.0, 1.0));
  }

  /// At which end of the envelope the gap is clipped.
  [[nodiscard]] Clip clip(const SemanticGap& gap) const {
    if (gap.value < gap_range_.low) return Clip::low;
    if (gap.value > gap_range_.high) return Clip::high;
    return Clip::none;
  }

  /// Smallest and largest beta.
  [[nodiscard]] Interval envelope() const noexcept { return envelope_; }
  /// The gaps that get them.
  [[nodiscard]] Interval gap_range() const noexcept { return gap_range_; }

 private:
  Interval envelope_;
  Interval gap_range_;
};

/// The same beta for every gap: plain DPO.
class Constant {
 public:
  /// Throws InvalidArgument unless beta is positive and finite.
  explicit Constant(double beta) : beta_(beta) {
    detail::require(beta > 0 && std::isfinite(beta), "beta must be positive and finite, not {}",
                    beta);
  }

  [[nodiscard]] double operator()(const SemanticGap&) const { return beta_; }
  /// The beta of every pair.
  [[nodiscard]] double beta() const noexcept { return beta_; }

 private:
  double beta_;
};

/// beta = envelope.low + width of the envelope · σ(slope · (gap − midpoint)): nearly linear around
/// the midpoint and flatter towards the ends, which it never reaches. Clips nothing.
class Logistic {
 public:
  /// Throws InvalidArgument unless the midpoint is finite and the slope positive and finite. The
  /// default slope of 8 maps gaps of 0 and 1 to 1.8 % of the envelope's width from its ends.
  explicit Logistic(double midpoint = 0.5, double slope = 8,
                    Interval envelope = Linear::default_envelope)
      : midpoint_(midpoint), slope_(slope), share_(envelope, {0, 1}) {
    detail::require(std::isfinite(midpoint), "the midpoint must be finite, not {}", midpoint);
    detail::require(slope > 0 && std::isfinite(slope),
                    "the slope must be positive and finite, not {}", slope);
  }

  [[nodiscard]] double operator()(const SemanticGap& gap) const {
    return share_({.value = 1 / (1 + std::exp(-slope_ * (gap.value - midpoint_)))});
  }

  /// The gap that gets the middle of the envelope.
  [[nodiscard]] double midpoint() const noexcept { return midpoint_; }
  /// Steepness at the midpoint.
  [[nodiscard]] double slope() const noexcept { return slope_; }
  /// Smallest and largest beta.
  [[nodiscard]] Interval envelope() const noexcept { return share_.envelope(); }

 private:
  double midpoint_;
  double slope_;
  Linear share_;  // maps a share to the envelope
};

/// beta by the gap's rank in the corpus: envelope.low + width of the envelope · (below + equal / 2)
/// / n, where `below` and `equal` count the corpus's gaps. Betas are spread evenly over the
/// envelope for any distribution of gaps, equal gaps get equal betas, and the mean over the corpus
/// is the middle of the envelope. Distances between gaps are lost.
class Rank {
 public:
  /// `gaps`: all gaps of the corpus in any order, see gap_values(). Throws InvalidArgument if they
  /// are empty or one is not finite.
  explicit Rank(std::vector<double> gaps, Interval envelope = Linear::default_envelope)
      : gaps_(std::move(gaps)), share_(envelope, {0, 1}) {
    detail::require(!gaps_.empty(), "a rank needs at least one gap");
    for (const double gap : gaps_)
      detail::require(std::isfinite(gap), "a gap to rank by must be finite, not {}", gap);
    std::ranges::sort(gaps_);
  }

  [[nodiscard]] double operator()(const SemanticGap& gap) const {
    if (std::isnan(gap.value)) return gap.value;
    const auto [first, last] = std::equal_range(gaps_.begin(), gaps_.end(), gap.value);
    const auto twice_rank = (first - gaps_.begin()) + (last - gaps_.begin());
    return share_(
        {.value = static_cast<double>(twice_rank) / 2 / static_cast<double>(gaps_.size())});
  }

  /// Smallest and largest beta.
  [[nodiscard]] Interval envelope() const noexcept { return share_.envelope(); }

 private:
  std::vector<double> gaps_;  // sorted
  Linear share_;              // maps a share to the envelope
};

/// One Linear per category: safety may have a higher envelope than style.
class ByCategory {
 public:
  /// `maps[c]` maps the gaps of category c.
  explicit ByCategory(std::vector<Linear> maps) : maps_(std::move(maps)) {}

  /// Throws InvalidArgument for a category without a map.
  [[nodiscard]] double operator()(const SemanticGap& gap) const { return map_of(gap)(gap); }
  /// At which end of the envelope the gap is clipped.
  [[nodiscard]] Clip clip(const SemanticGap& gap) const { return map_of(gap).clip(gap); }

  /// One Linear per category, in the order of the categories.
  [[nodiscard]] const std::vector<Linear>& maps() const noexcept { return maps_; }

 private:
  [[nodiscard]] const Linear& map_of(const SemanticGap& gap) const {
    const auto category = static_cast<std::size_t>(gap.category);
    detail::require(category < maps_.size(), "category number {} has no map; expected less than {}",
                    category, maps_.size());
    return maps_[category];
  }

  std::vector<Linear> maps_;
};

static_assert(ClippingMapper<Linear> && ClippingMapper<ByCategory>);
static_assert(BetaMapper<Constant> && BetaMapper<Logistic> && BetaMapper<Rank>);

}  // namespace sp2dpo
