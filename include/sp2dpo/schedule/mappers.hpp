// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/linear.hpp>

/// Mappers beside Linear (docs/aggregators.md). NaN stays NaN in each, which no schedule takes.
namespace sp2dpo {

/// The same beta for every gap: plain DPO.
class Constant {
 public:
  /// Throws InvalidArgument unless beta is positive and finite.
  explicit Constant(double beta) : beta_(beta) {
    detail::require(beta > 0 && std::isfinite(beta), "beta must be positive and finite, not {}",
                    beta);
  }

  [[nodiscard]] double operator()(const SemanticGap&) const { return beta_; }
  [[nodiscard]] double beta() const noexcept { return beta_; }

 private:
  double beta_;
};

/// beta = envelope.low + width of the envelope · σ(slope · (gap − midpoint)): nearly linear around
/// the midpoint, ever flatter towards the ends, which it does not reach. Nothing is clipped.
class Logistic {
 public:
  /// Throws InvalidArgument for a midpoint that is not finite or a slope that is not positive and
  /// finite. At the default slope of 8, gaps of 0 and 1 come to 1.8 % of the envelope's width from
  /// its ends.
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

  [[nodiscard]] double midpoint() const noexcept { return midpoint_; }
  [[nodiscard]] double slope() const noexcept { return slope_; }
  [[nodiscard]] Interval envelope() const noexcept { return share_.envelope(); }

 private:
  double midpoint_;
  double slope_;
  Linear share_;  // of the envelope
};

/// beta by the gap's place among all gaps: envelope.low + width of the envelope · (below +
/// equal / 2) / n, where `below` and `equal` count the corpus's gaps. Betas are spread evenly over
/// the envelope however the gaps lie, equal gaps get equal betas, and the mean over the corpus is
/// the envelope's middle. It says nothing of how far gaps are apart.
class Rank {
 public:
  /// `gaps`: those of the corpus, in any order (gap_values() takes them from a schedule). Throws
  /// InvalidArgument where there are none, or one is not finite.
  explicit Rank(std::vector<double> gaps, Interval envelope = Linear::default_envelope)
      : gaps_(std::move(gaps)), share_(envelope, {0, 1}) {
    detail::require(!gaps_.empty(), "a rank among no gaps");
    for (const double gap : gaps_)
      detail::require(std::isfinite(gap), "a gap to rank by must be finite, not {}", gap);
    std::ranges::sort(gaps_);
  }

  [[nodiscard]] double operator()(const SemanticGap& gap) const {
    if (std::isnan(gap.value)) return gap.value;
    const auto equal = std::ranges::equal_range(gaps_, gap.value);
    const auto below_twice = (equal.begin() - gaps_.begin()) + (equal.end() - gaps_.begin());
    return share_(
        {.value = static_cast<double>(below_twice) / 2 / static_cast<double>(gaps_.size())});
  }

  [[nodiscard]] Interval envelope() const noexcept { return share_.envelope(); }

 private:
  std::vector<double> gaps_;  // sorted
  Linear share_;              // of the envelope
};

/// Another Linear for each category: safety may have a higher envelope than style.
class ByCategory {
 public:
  /// `maps[c]` for category c.
  explicit ByCategory(std::vector<Linear> maps) : maps_(std::move(maps)) {}

  /// Throws InvalidArgument for a category that has no map.
  [[nodiscard]] double operator()(const SemanticGap& gap) const { return map_of(gap)(gap); }
  [[nodiscard]] Clip clip(const SemanticGap& gap) const { return map_of(gap).clip(gap); }

  [[nodiscard]] const std::vector<Linear>& maps() const noexcept { return maps_; }

 private:
  [[nodiscard]] const Linear& map_of(const SemanticGap& gap) const {
    const auto category = static_cast<std::size_t>(gap.category);
    detail::require(category < maps_.size(), "there is no map for category number {}, only {} maps",
                    category, maps_.size());
    return maps_[category];
  }

  std::vector<Linear> maps_;
};

static_assert(BetaMapper<Constant> && BetaMapper<Logistic> && BetaMapper<Rank>);
static_assert(ClippingMapper<ByCategory>);

}  // namespace sp2dpo
