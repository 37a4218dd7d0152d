// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <vector>

#include <suggest.hpp>

namespace sp2dpo::args {

namespace {

/// The optimal string alignment distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last = last;
    last = row;
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

/// The number of characters without leading dashes.
std::size_t letters(std::string_view name) {
  return name.size() - std::min(name.find_first_not_of('-'), name.size());
}

}  // namespace

std::string_view closest(std::string_view word, std::span<const std::string> names) {
  std::string_view best;
  std::size_t smallest = 0;
  std::size_t n_alike = 0;
  std::string_view alike;
  for (const std::string_view name : names) {
    if (std::min(letters(word), letters(name)) > 2 &&
        (name.starts_with(word) || word.starts_with(name))) {
      ++n_alike;
      alike = name;
    }
    const std::size_t edits = distance(word, name);
    if (3 * edits > std::max(letters(word), letters(name)) + 1) continue;
    if (best.empty() || edits < smallest) {
      best = name;
      smallest = edits;
    }
  }
  return best.empty() && n_alike == 1 ? alike : best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> names) {
  const auto name = closest(word, names);
  return name.empty() ? std::string() : "; did you mean " + std::string(name) + "?";
}

}  // namespace sp2dpo::args
