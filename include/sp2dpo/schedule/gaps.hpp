// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/category.hpp>

namespace sp2dpo {

/// One pair and its gap.
struct PairGap {
  std::string id{};
  std::optional<SemanticGap> gap{};  ///< empty: the pair has too few annotations
  int n_annotations{};               ///< all annotations of the pair, whether they counted or not
};

/// The gaps of a corpus, with every pair in order: Gaps in memory, SpooledGaps in a temporary file.
template <class G>
concept GapTable = requires(const G& gaps, void (&visit)(const PairGap&)) {
  gaps.for_each(visit);
  { gaps.size() } -> std::same_as<std::size_t>;
  { gaps.n_missing() } -> std::same_as<std::size_t>;
  { gaps.categories() } -> std::same_as<const Categories&>;
};

/// Gaps in memory. A const Gaps may be read from several threads.
class Gaps {
 public:
  explicit Gaps(Categories categories = {}) : categories_(std::move(categories)) {}

  /// Appends the next pair.
  void add(PairGap pair) {
    n_missing_ += pair.gap ? 0 : 1;
    pairs_.push_back(std::move(pair));
  }

  /// All pairs in order.
  [[nodiscard]] std::span<const PairGap> pairs() const noexcept { return pairs_; }
  /// The categories that the gaps refer to.
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  /// All pairs, with a gap or without.
  [[nodiscard]] std::size_t size() const noexcept { return pairs_.size(); }
  /// Pairs without a gap.
  [[nodiscard]] std::size_t n_missing() const noexcept { return n_missing_; }

  /// Calls visit(pair) for every pair in order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const auto& pair : pairs_) visit(pair);
  }

 private:
  Categories categories_;
  std::vector<PairGap> pairs_;
  std::size_t n_missing_ = 0;
};

/// The values of all gaps, in the order of the pairs; pairs without a gap are left out.
template <GapTable G>
[[nodiscard]] std::vector<double> gap_values(const G& gaps) {
  std::vector<double> values;
  gaps.for_each([&](const PairGap& pair) {
    if (pair.gap) values.push_back(pair.gap->value);
  });
  return values;
}

static_assert(GapTable<Gaps>);

}  // namespace sp2dpo
