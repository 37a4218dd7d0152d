// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/logit_rows.hpp>
#include <sp2dpo/loss/pair_loss.hpp>

namespace sp2dpo {

/// The rows of each sequence that count, i.e. whose label is not ignored: pair by pair, the chosen
/// sequence before the rejected one. Several threads may read one object.
class PairRows {
 public:
  /// The response of a pair, as an offset into its two sequences.
  enum Side : std::int64_t { chosen = 0, rejected = 1 };

  /// If labels.label is null, all rows count; labels on a device are not read here. Throws
  /// InvalidArgument for an odd number of sequences in halves or interleaved, for bounds that do
  /// not rise from 0 to `rows`, and for a sequence number outside [0, count) or used more than
  /// once.
  PairRows(const Sequences& sequences, const RowLabels& labels, std::int64_t rows) {
    using detail::require;
    const bool listed = sequences.layout == Sequences::Layout::listed;
    require(
        listed || sequences.count % 2 == 0,
        "{} sequences do not form pairs; expected an even number, a chosen and a rejected one each",
        sequences.count);
    const auto start = [&](std::int64_t s) {
      return sequences.cu_seqlens == nullptr ? s * sequences.length : sequences.cu_seqlens[s];
    };
    require(start(0) == 0 && start(sequences.count) == rows,
            "the sequences' bounds go from {} to {}; expected 0 to {}, the number of rows",
            start(0), start(sequences.count), rows);
    for (std::int64_t s = 0; s < sequences.count; ++s)
      require(start(s) <= start(s + 1), "cu_seqlens falls from {} to {} at index {}", start(s),
              start(s + 1), s + 1);

    const std::int64_t pairs = listed ? sequences.pairs : sequences.count / 2;
    std::vector<bool> used(static_cast<std::size_t>(sequences.count));
    const auto append = [&](std::int64_t s) {
      require(0 <= s && s < sequences.count, "sequence {} is outside [0, {})", s, sequences.count);
      require(!used[static_cast<std::size_t>(s)], "sequence {} belongs to two pairs", s);
      used[static_cast<std::size_t>(s)] = true;
      for (std::int64_t row = start(s); row < start(s + 1); ++row)
        if (labels.label == nullptr || labels.label[row] != labels.ignored) rows_.push_back(row);
      begin_.push_back(static_cast<std::int64_t>(rows_.size()));
    };
    begin_.reserve(static_cast<std::size_t>(2 * pairs + 1));
    begin_.push_back(0);
    for (std::int64_t i = 0; i < pairs; ++i) {
      const bool halves = sequences.layout == Sequences::Layout::halves;
      append(listed ? sequences.chosen[i] : halves ? i : 2 * i);
      append(listed ? sequences.rejected[i] : halves ? i + pairs : 2 * i + 1);
    }
  }

  /// P, the number of pairs.
  [[nodiscard]] std::int64_t pairs() const noexcept { return std::ssize(begin_) / 2; }
  /// Indices of the rows that count, in the order of the pairs.
  [[nodiscard]] const std::vector<std::int64_t>& rows() const noexcept { return rows_; }
  /// The bounds [2P + 1] of the sequences within rows().
  [[nodiscard]] const std::vector<std::int64_t>& bounds() const noexcept { return begin_; }

  /// Returns how many rows of a sequence count.
  [[nodiscard]] std::int64_t count(std::int64_t pair, Side side) const {
    return first(pair, side, 1) - first(pair, side);
  }
  /// Returns whether both sequences have a row that counts.
  [[nodiscard]] bool complete(std::int64_t pair) const {
    return count(pair, chosen) > 0 && count(pair, rejected) > 0;
  }
  /// Returns the largest number of rows of one pair.
  [[nodiscard]] std::int64_t longest() const {
    std::int64_t largest = 0;
    for (std::int64_t i = 0; i < pairs(); ++i) largest = std::max(largest, select(i, i + 1).count);
    return largest;
  }
  /// Returns the rows of the pairs in [begin, end), for the row kernels.
  [[nodiscard]] RowSelection select(std::int64_t begin, std::int64_t end) const {
    return {first(begin, chosen), first(end, chosen) - first(begin, chosen), rows_.data()};
  }
  /// Returns the rows of one sequence.
  [[nodiscard]] RowSelection select(std::int64_t pair, Side side) const {
    return {first(pair, side), count(pair, side), rows_.data()};
  }
  /// Returns the rows in [0, rows) that do not count or belong to no pair.
  [[nodiscard]] std::vector<std::int64_t> others(std::int64_t rows) const {
    std::vector<bool> taken(static_cast<std::size_t>(rows));
    for (const std::int64_t row : rows_) taken[static_cast<std::size_t>(row)] = true;
    std::vector<std::int64_t> left;
    for (std::int64_t row = 0; row < rows; ++row)
      if (!taken[static_cast<std::size_t>(row)]) left.push_back(row);
    return left;
  }

 private:
  [[nodiscard]] std::int64_t first(std::int64_t pair, std::int64_t side,
                                   std::int64_t further = 0) const {
    return begin_[static_cast<std::size_t>(2 * pair + side + further)];
  }

  std::vector<std::int64_t> rows_;
  std::vector<std::int64_t> begin_;  // [2P + 1]: bounds of the sequences in rows_
};

/// Returns a sequence's log-probability: the sum over its rows in order, in double, divided by
/// their number with `average`. A sequence without rows has 0.
[[nodiscard]] inline double sequence_log_prob(const RowSelection& rows, const double* row_log_prob,
                                              bool average) {
  double sum = 0;
  for (std::int64_t i = 0; i < rows.count; ++i) sum += row_log_prob[rows[i]];
  return average && rows.count > 0 ? sum / static_cast<double>(rows.count) : sum;
}

}  // namespace sp2dpo
