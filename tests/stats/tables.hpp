// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include <sp2dpo/stats/ratings.hpp>

namespace sp2dpo::stats::test {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// Rows are units; `none` is missing.
inline Ratings table(const std::vector<std::vector<double>>& rows) {
  Ratings ratings(rows.size(), rows.empty() ? 0 : rows[0].size());
  for (std::size_t unit = 0; unit < rows.size(); ++unit)
    for (std::size_t rater = 0; rater < rows[unit].size(); ++rater)
      if (rows[unit][rater] == rows[unit][rater]) ratings.set(unit, rater, rows[unit][rater]);
  return ratings;
}

/// Three coders, fifteen units: the example of Wikipedia's page on Krippendorff's alpha.
inline std::vector<std::vector<double>> three_coders() {
  return {{none, 1, none}, {none, none, none}, {none, 2, 2}, {none, 1, 1},       {none, 3, 3},
          {3, 3, 4},       {4, 4, 4},          {1, 3, none}, {2, none, 2},       {1, none, 1},
          {1, none, 1},    {3, none, 3},       {3, none, 3}, {none, none, none}, {3, none, 4}};
}

/// Six targets, four judges: Shrout and Fleiss (1979).
inline std::vector<std::vector<double>> four_judges() {
  return {{9, 2, 5, 8}, {6, 1, 3, 2}, {8, 4, 6, 8}, {7, 1, 2, 6}, {10, 5, 6, 9}, {6, 2, 4, 7}};
}

}  // namespace sp2dpo::stats::test
