// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sp2dpo/stats/estimate.hpp>
#include <sp2dpo/stats/ratings.hpp>

namespace sp2dpo::stats {

/// Statistics of categories are not computed for more distinct values than this.
inline constexpr std::size_t max_categories = 1000;

enum class Scale : std::uint8_t { nominal, ordinal, interval, ratio };

/// Krippendorff's alpha, for any number of raters with any cells missing; a unit counts that has
/// two values or more. Interval alpha takes O(N), ordinal alpha O(N log N): it is interval alpha of
/// the mid-ranks. Nominal and ratio alpha are undefined above `max_categories` distinct values, the
/// latter also for a value below zero. The interval is a bootstrap over units.
[[nodiscard]] Estimate krippendorff_alpha(const Ratings& ratings, Scale scale,
                                          const Bootstrap& bootstrap = {});

/// Fleiss' kappa; undefined unless all units that have a value have equally many, two or more.
[[nodiscard]] Estimate fleiss_kappa(const Ratings& ratings, const Bootstrap& bootstrap = {});

/// How far two categories agree: only where they are equal, or 1 − |k − l| / (max − min), or
/// 1 − (k − l)² / (max − min)².
enum class Agreement : std::uint8_t { identity, linear, quadratic };

/// Gwet's AC1 (identity) and AC2. `categories` are all that a rater can choose from, in any order;
/// empty: those that occur. Throws InvalidArgument where one occurs that is not listed.
[[nodiscard]] Estimate gwet_ac(const Ratings& ratings, Agreement agreement = Agreement::identity,
                               std::span<const double> categories = {},
                               const Bootstrap& bootstrap = {});

/// Cohen's kappa of two raters, [n] each: 1 − Σ w·o / Σ w·e, where w is 1 less their `agreement`.
/// No interval. Throws InvalidArgument for lists of different lengths.
[[nodiscard]] Estimate cohen_kappa(std::span<const double> a, std::span<const double> b,
                                   Agreement agreement = Agreement::identity);

/// Intraclass correlations after Shrout and Fleiss (1979): of one rating (`single`) and of the mean
/// over all raters (`mean`), for forms 1, 2 and 3 at places 0, 1 and 2, with their F intervals.
struct Icc {
  std::array<Estimate, 3> single;
  std::array<Estimate, 3> mean;
};

/// From the units that every rater has rated.
[[nodiscard]] Icc icc(const Ratings& ratings);

}  // namespace sp2dpo::stats
