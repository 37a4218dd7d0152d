// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <sp2dpo/stats/ratings.hpp>

namespace sp2dpo::tool {

/// Names in the order of their first occurrence.
class Names {
 public:
  std::size_t place(const std::string& name) {
    const auto [found, fresh] = places_.try_emplace(name, list_.size());
    if (fresh) list_.push_back(name);
    return found->second;
  }
  [[nodiscard]] const std::vector<std::string>& list() const { return list_; }

 private:
  std::vector<std::string> list_;
  std::unordered_map<std::string, std::size_t> places_;
};

/// Ratings, the names of the raters, and the categories.
struct Table {
  stats::Ratings ratings;
  std::vector<std::string> raters;
  std::vector<double> categories{};  // all possible values; empty: those that occur
  std::string nominal_reason{};      // why only nominal figures are defined; empty if others are
};

/// Reads a CSV file with the columns unit, rater, value; a blank value counts as missing.
/// `categories` lists all values that raters can choose from; empty means those that occur. Throws
/// DataError with file, line and column.
[[nodiscard]] Table read_table(const std::string& file, const std::vector<std::string>& categories);

}  // namespace sp2dpo::tool
