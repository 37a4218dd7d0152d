// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bootstrap.hpp"

#include <sp2dpo/stats/agreement.hpp>

namespace sp2dpo::stats {

namespace {

/// The values of all units with at least `least` values, one unit after the other.
struct Cells {
  std::vector<double> values{};
  std::vector<std::size_t> begin{0};  // [units + 1], offsets into values

  Cells(const Ratings& ratings, std::size_t least) {
    for (std::size_t unit = 0; unit < ratings.n_units(); ++unit) {
      for (std::size_t rater = 0; rater < ratings.n_raters(); ++rater)
        if (const auto value = ratings.at(unit, rater)) values.push_back(*value);
      if (values.size() - begin.back() < least)
        values.resize(begin.back());
      else if (values.size() > begin.back())
        begin.push_back(values.size());
    }
  }

  [[nodiscard]] std::size_t n_units() const { return begin.size() - 1; }
  [[nodiscard]] std::size_t size_of(std::size_t unit) const {
    return begin[unit + 1] - begin[unit];
  }
};

std::vector<double> distinct(std::vector<double> values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// Returns the index of each value in the sorted categories, which contain every value.
std::vector<std::uint32_t> codes_of(const std::vector<double>& values,
                                    const std::vector<double>& categories) {
  std::vector<std::uint32_t> codes;
  codes.reserve(values.size());
  for (const double value : values)
    codes.push_back(static_cast<std::uint32_t>(std::ranges::lower_bound(categories, value) -
                                               categories.begin()));
  return codes;
}

std::string too_many(std::size_t n) {
  return fmt::format("{} distinct values, more than {}", n, max_categories);
}

constexpr auto no_pairs = "no unit has two values";
constexpr auto one_value = "only one value occurs";

using Counts = std::vector<double>;
using Distance = std::function<double(std::size_t, std::size_t)>;

/// Computes alpha of a resample of the units; the constructor precomputes what resamples share.
class Alpha {
 public:
  Alpha(const Cells& cells, Scale scale, const std::vector<double>& categories)
      : cells_(cells), scale_(scale), categories_(categories) {
    if (scale == Scale::interval) {
      points_ = cells.values;
      const double middle = points_.front();  // so that sums of squares do not cancel
      for (double& point : points_) point -= middle;
    } else {
      codes_ = codes_of(cells.values, categories);
    }
    if (scale == Scale::nominal || scale == Scale::ratio) {
      for (std::size_t unit = 0; unit < cells.n_units(); ++unit) {
        double sum = 0;
        for (std::size_t i = cells.begin[unit]; i < cells.begin[unit + 1]; ++i)
          for (std::size_t j = cells.begin[unit]; j < i; ++j)
            sum += 2 * distance(codes_[i], codes_[j]);
        observed_.push_back(sum / static_cast<double>(cells.size_of(unit) - 1));
      }
    }
  }

  std::optional<double> operator()(const std::vector<std::uint32_t>& times) {
    if (scale_ == Scale::interval) return of_points(times);
    Counts counts(categories_.size());
    for (std::size_t unit = 0; unit < cells_.n_units(); ++unit)
      for (std::size_t i = cells_.begin[unit]; i < cells_.begin[unit + 1]; ++i)
        counts[codes_[i]] += times[unit];
    if (scale_ == Scale::ordinal) {
      // The ordinal distance of two values is the distance between their mid-ranks.
      points_.resize(codes_.size());
      double n = 0;
      for (double& count : counts) n += std::exchange(count, n + count / 2);
      for (std::size_t i = 0; i < codes_.size(); ++i) points_[i] = counts[codes_[i]] - n / 2;
      return of_points(times);
    }

    double observed = 0, n = 0, expected = 0;
    for (std::size_t unit = 0; unit < observed_.size(); ++unit)
      observed += times[unit] * observed_[unit];
    for (const double count : counts) n += count;
    for (std::size_t c = 0; c < counts.size(); ++c)
      for (std::size_t k = 0; counts[c] > 0 && k < c; ++k)
        expected += 2 * counts[c] * counts[k] * distance(c, k);
    if (!(expected > 0)) return std::nullopt;
    return 1 - observed / (expected / (n - 1));
  }

 private:
  [[nodiscard]] double distance(std::size_t c, std::size_t k) const {
    if (scale_ == Scale::nominal) return c != k;
    const double sum = categories_[c] + categories_[k];
    const double share = sum > 0 ? (categories_[c] - categories_[k]) / sum : 0;
    return share * share;
  }

  /// Interval alpha from moments: a unit's sum of squared differences is 2 (m Σx² − (Σx)²).
  [[nodiscard]] std::optional<double> of_points(const std::vector<std::uint32_t>& times) const {
    double observed = 0, n = 0, sum = 0, squares = 0;
    for (std::size_t unit = 0; unit < cells_.n_units(); ++unit) {
      if (times[unit] == 0) continue;
      const double m = static_cast<double>(cells_.size_of(unit));
      double unit_sum = 0, unit_squares = 0, within = 0;
      for (std::size_t i = cells_.begin[unit]; i < cells_.begin[unit + 1]; ++i) {
        unit_sum += points_[i];
        unit_squares += points_[i] * points_[i];
      }
      for (std::size_t i = cells_.begin[unit]; i < cells_.begin[unit + 1]; ++i)
        within += (points_[i] - unit_sum / m) * (points_[i] - unit_sum / m);
      observed += times[unit] * 2 * m * within / (m - 1);
      n += times[unit] * m;
      sum += times[unit] * unit_sum;
      squares += times[unit] * unit_squares;
    }
    const double expected = 2 * (n * squares - sum * sum) / (n - 1);
    if (!(expected > 1e-14 * n * squares)) return std::nullopt;
    return 1 - observed / expected;
  }

  const Cells& cells_;
  Scale scale_;
  const std::vector<double>& categories_;
  std::vector<std::uint32_t> codes_{};
  std::vector<double> points_{};
  std::vector<double> observed_{};  // [units], disagreement
};

template <class Statistic>
Estimate with_interval(std::size_t n_units, Statistic statistic, const char* reason,
                       const Bootstrap& bootstrap) {
  const auto n = static_cast<std::int64_t>(n_units);
  const auto value = statistic(std::vector<std::uint32_t>(n_units, 1));
  if (!value) return Estimate::undefined(reason, n);
  auto estimate = Estimate::of(*value, n);
  estimate.ci = percentile_interval(n_units, bootstrap, std::ref(statistic));
  return estimate;
}

double agreement_of(Agreement agreement, const std::vector<double>& categories, std::size_t k,
                    std::size_t l) {
  if (agreement == Agreement::identity) return k == l;
  const double share =
      std::abs(categories[k] - categories[l]) / (categories.back() - categories.front());
  return agreement == Agreement::linear ? 1 - share : 1 - share * share;
}

/// Returns the mean agreement over all ordered pairs of different raters of a unit.
double observed_agreement(const Cells& cells, const std::vector<std::uint32_t>& codes,
                          std::size_t unit,
                          const std::function<double(std::size_t, std::size_t)>& agreement) {
  double sum = 0;
  for (std::size_t i = cells.begin[unit]; i < cells.begin[unit + 1]; ++i)
    for (std::size_t j = cells.begin[unit]; j < i; ++j) sum += 2 * agreement(codes[i], codes[j]);
  const double m = static_cast<double>(cells.size_of(unit));
  return sum / (m * (m - 1));
}

}  // namespace

Estimate krippendorff_alpha(const Ratings& ratings, Scale scale, const Bootstrap& bootstrap) {
  const Cells cells(ratings, 2);
  const auto n = static_cast<std::int64_t>(cells.n_units());
  if (n == 0) return Estimate::undefined(no_pairs, n);
  const auto categories = distinct(cells.values);
  if (categories.size() == 1) return Estimate::undefined(one_value, n);
  const bool by_category = scale == Scale::nominal || scale == Scale::ratio;
  if (by_category && categories.size() > max_categories)
    return Estimate::undefined(too_many(categories.size()), n);
  if (scale == Scale::ratio && categories.front() < 0)
    return Estimate::undefined(
        fmt::format("a ratio scale excludes negative values such as {}", categories.front()), n);
  return with_interval(cells.n_units(), Alpha(cells, scale, categories), one_value, bootstrap);
}

Estimate fleiss_kappa(const Ratings& ratings, const Bootstrap& bootstrap) {
  const Cells cells(ratings, 1);
  const auto n = static_cast<std::int64_t>(cells.n_units());
  if (n == 0) return Estimate::undefined("the table has no values", n);
  const std::size_t m = cells.size_of(0);
  for (std::size_t unit = 0; unit < cells.n_units(); ++unit)
    if (cells.size_of(unit) != m)
      return Estimate::undefined(
          fmt::format("every unit needs the same number of values; some have {}, some {}", m,
                      cells.size_of(unit)),
          n);
  if (m < 2) return Estimate::undefined(no_pairs, n);
  const auto categories = distinct(cells.values);
  if (categories.size() > max_categories)
    return Estimate::undefined(too_many(categories.size()), n);
  const auto codes = codes_of(cells.values, categories);
  std::vector<double> observed;
  for (std::size_t unit = 0; unit < cells.n_units(); ++unit)
    observed.push_back(
        observed_agreement(cells, codes, unit, [](auto k, auto l) { return k == l ? 1.0 : 0.0; }));

  const auto kappa = [&](const std::vector<std::uint32_t>& times) -> std::optional<double> {
    Counts counts(categories.size());
    double agreed = 0;
    for (std::size_t unit = 0; unit < cells.n_units(); ++unit) {
      agreed += times[unit] * observed[unit];
      for (std::size_t i = cells.begin[unit]; i < cells.begin[unit + 1]; ++i)
        counts[codes[i]] += times[unit];
    }
    const double all = static_cast<double>(codes.size());  // the same in every resample
    double chance = 0;
    for (const double count : counts) chance += (count / all) * (count / all);
    if (std::ranges::count_if(counts, [](double count) { return count > 0; }) < 2)
      return std::nullopt;
    return (agreed / static_cast<double>(n) - chance) / (1 - chance);
  };
  return with_interval(cells.n_units(), kappa, one_value, bootstrap);
}

Estimate gwet_ac(const Ratings& ratings, Agreement agreement, std::span<const double> categories,
                 const Bootstrap& bootstrap) {
  const Cells cells(ratings, 1);
  const auto n = static_cast<std::int64_t>(cells.n_units());
  const auto seen = distinct(cells.values);
  const auto all = categories.empty() ? seen : distinct({categories.begin(), categories.end()});
  for (const double value : seen)
    detail::require(std::ranges::binary_search(all, value), "rating {} is not among the categories",
                    value);
  const std::size_t q = all.size();
  if (n == 0) return Estimate::undefined("the table has no values", n);
  if (q < 2) return Estimate::undefined(one_value, n);
  if (q > max_categories) return Estimate::undefined(too_many(q), n);

  const auto codes = codes_of(cells.values, all);
  const auto agree = [&](std::size_t k, std::size_t l) {
    return agreement_of(agreement, all, k, l);
  };
  double total = 0;
  for (std::size_t k = 0; k < q; ++k)
    for (std::size_t l = 0; l < q; ++l) total += agree(k, l);
  std::vector<double> observed;
  for (std::size_t unit = 0; unit < cells.n_units(); ++unit)
    observed.push_back(cells.size_of(unit) < 2 ? 0 : observed_agreement(cells, codes, unit, agree));

  const auto coefficient = [&](const std::vector<std::uint32_t>& times) -> std::optional<double> {
    Counts shares(q);
    double agreed = 0, pairable = 0;
    for (std::size_t unit = 0; unit < cells.n_units(); ++unit) {
      const std::size_t m = cells.size_of(unit);
      agreed += times[unit] * observed[unit];
      if (m >= 2) pairable += times[unit];
      for (std::size_t i = cells.begin[unit]; i < cells.begin[unit + 1]; ++i)
        shares[codes[i]] += times[unit] / static_cast<double>(m);
    }
    if (pairable == 0) return std::nullopt;
    double chance = 0;
    for (const double share : shares) {
      const double pi = share / static_cast<double>(n);
      chance += pi * (1 - pi);
    }
    chance *= total / static_cast<double>(q * (q - 1));
    return (agreed / pairable - chance) / (1 - chance);
  };
  return with_interval(cells.n_units(), coefficient, no_pairs, bootstrap);
}

Estimate cohen_kappa(std::span<const double> a, std::span<const double> b, Agreement agreement) {
  detail::require(a.size() == b.size(), "expected lists of equal length, got {} and {} values",
                  a.size(), b.size());
  const auto n = std::ssize(a);
  if (n == 0) return Estimate::undefined("both raters rated no common unit", n);
  std::vector<double> values(a.begin(), a.end());
  values.insert(values.end(), b.begin(), b.end());
  for (const double value : values)
    detail::require(std::isfinite(value), "expected a finite value, got {}", value);
  const auto categories = distinct(values);
  if (categories.size() == 1) return Estimate::undefined(one_value, n);
  if (categories.size() > max_categories)
    return Estimate::undefined(too_many(categories.size()), n);
  const auto codes = codes_of(values, categories);

  Counts rows(categories.size()), columns(categories.size());
  double observed = 0, expected = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto k = codes[i], l = codes[i + a.size()];
    ++rows[k];
    ++columns[l];
    observed += 1 - agreement_of(agreement, categories, k, l);
  }
  for (std::size_t k = 0; k < rows.size(); ++k)
    for (std::size_t l = 0; rows[k] > 0 && l < columns.size(); ++l)
      expected += rows[k] * columns[l] * (1 - agreement_of(agreement, categories, k, l));
  return Estimate::of(1 - observed / (expected / static_cast<double>(n)), n);
}

}  // namespace sp2dpo::stats
