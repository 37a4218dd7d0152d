// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::stats {

/// A table of ratings, [units × raters], in which any cell may be missing. Categories are numbered;
/// nominal statistics accept any numbering. Several threads may read a table that none modifies.
class Ratings {
 public:
  Ratings(std::size_t n_units, std::size_t n_raters)
      : n_units_(n_units),
        n_raters_(n_raters),
        cells_(n_units * n_raters, std::numeric_limits<double>::quiet_NaN()) {}

  /// Number of units, the rows of the table.
  [[nodiscard]] std::size_t n_units() const noexcept { return n_units_; }
  /// Number of raters, its columns.
  [[nodiscard]] std::size_t n_raters() const noexcept { return n_raters_; }

  /// Fills an empty cell. Throws InvalidArgument for indices outside the table, a value that is not
  /// finite, and a cell that already has a value.
  void set(std::size_t unit, std::size_t rater, double value) {
    check(unit, rater);
    double& cell = cells_[unit * n_raters_ + rater];
    detail::require(std::isfinite(value), "unit {}, rater {}: expected a finite value, got {}",
                    unit, rater, value);
    detail::require(std::isnan(cell),
                    "unit {}, rater {}: duplicate value {}, the cell already holds {}", unit, rater,
                    value, cell);
    cell = value;
  }

  /// Returns the value of a cell, or nullopt if it is missing. Throws InvalidArgument for indices
  /// outside the table.
  [[nodiscard]] std::optional<double> at(std::size_t unit, std::size_t rater) const {
    check(unit, rater);
    const double cell = cells_[unit * n_raters_ + rater];
    return std::isnan(cell) ? std::nullopt : std::optional(cell);
  }

 private:
  void check(std::size_t unit, std::size_t rater) const {
    detail::require(unit < n_units_ && rater < n_raters_,
                    "unit {}, rater {}: the table has {} units and {} raters", unit, rater,
                    n_units_, n_raters_);
  }

  std::size_t n_units_;
  std::size_t n_raters_;
  std::vector<double> cells_;  // NaN if missing
};

}  // namespace sp2dpo::stats
