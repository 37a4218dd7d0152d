// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sp2dpo/stats/estimate.hpp>
#include <sp2dpo/stats/ratings.hpp>

namespace sp2dpo::stats {

/// Statistics over categories are undefined above this number of distinct values.
inline constexpr std::size_t max_categories = 1000;

/// Level of measurement, which sets how far apart two values are.
enum class Scale : std::uint8_t { nominal, ordinal, interval, ratio };

/// Computes Krippendorff's alpha for any number of raters and missing cells. Units with at least
/// two values count. Interval alpha takes O(N). Ordinal alpha is the interval alpha of the
/// mid-ranks and takes O(N log N). Nominal and ratio alpha are undefined above `max_categories`
/// distinct values; ratio alpha is also undefined for negative values. The interval is a bootstrap
/// over units.
[[nodiscard]] Estimate krippendorff_alpha(const Ratings& ratings, Scale scale,
                                          const Bootstrap& bootstrap = {});

/// Computes Fleiss' kappa. It is undefined unless all units with a value have the same number of
/// values, at least two.
[[nodiscard]] Estimate fleiss_kappa(const Ratings& ratings, const Bootstrap& bootstrap = {});

/// Agreement of two categories k and l, from 0 to 1.
enum class Agreement : std::uint8_t {
  identity,  ///< 1 if k = l, otherwise 0
  linear,    ///< 1 − |k − l| / (max − min)
  quadratic  ///< 1 − (k − l)² / (max − min)²
};

/// Computes Gwet's AC1 (identity) or AC2 (linear, quadratic). `categories` lists every value that a
/// rater can choose, in any order; if empty, the values that occur. Throws InvalidArgument for a
/// rating outside the list.
[[nodiscard]] Estimate gwet_ac(const Ratings& ratings, Agreement agreement = Agreement::identity,
                               std::span<const double> categories = {},
                               const Bootstrap& bootstrap = {});

/// Computes Cohen's kappa of two raters, [n] each: 1 − Σ w·o / Σ w·e with w = 1 − `agreement`. The
/// result has no interval. Throws InvalidArgument for lists of different lengths.
[[nodiscard]] Estimate cohen_kappa(std::span<const double> a, std::span<const double> b,
                                   Agreement agreement = Agreement::identity);

/// Intraclass correlations after Shrout and Fleiss (1979), with F intervals. Index f − 1 holds
/// form f: 1, 2 or 3.
struct Icc {
  std::array<Estimate, 3> single;  ///< ICC(f, 1), reliability of one rating
  std::array<Estimate, 3> mean;    ///< ICC(f, k), reliability of the mean over all k raters
};

/// Computes the correlations from the units that every rater rated.
[[nodiscard]] Icc icc(const Ratings& ratings);

}  // namespace sp2dpo::stats
