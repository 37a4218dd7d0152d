// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sp2dpo::stats {

/// A verdict with its confidence and its outcome.
struct ScoredVerdict {
  double score{};  ///< confidence; functions that need a probability say so
  double right{};  ///< 1 right, 0 wrong, 0.5 half right
};

/// Returns the mean of (score − right)²; `score` must be a probability.
[[nodiscard]] double brier_score(std::span<const ScoredVerdict> verdicts);

/// Verdicts with similar scores: one point of a reliability diagram.
struct ReliabilityBin {
  std::int64_t n{};
  double score{};  ///< mean
  double right{};  ///< share of right verdicts
};

/// Sorts verdicts into at most `bins` bins of about equal size. Equal scores share a bin. Throws
/// InvalidArgument if `bins` is below 1, if `verdicts` is empty, and for a score that is not finite
/// or a `right` outside [0, 1]. The functions below throw for the same inputs.
[[nodiscard]] std::vector<ReliabilityBin> reliability(std::span<const ScoredVerdict> verdicts,
                                                      int bins = 10);

/// Returns the ECE: the mean of |score − right| over the bins, weighted by their sizes.
[[nodiscard]] double expected_calibration_error(std::span<const ReliabilityBin> bins);

/// Isotonic regression of `right` on the score: the non-decreasing least-squares fit by pooling
/// adjacent violators, with equal scores pooled first. The fit is linear between the observed
/// scores and constant beyond them. Immutable, so that several threads may call it.
class Isotonic {
 public:
  explicit Isotonic(std::span<const ScoredVerdict> verdicts);

  [[nodiscard]] double operator()(double score) const;

 private:
  std::vector<double> scores_;  // distinct, sorted
  std::vector<double> values_;
};

/// Platt scaling: σ(slope · score + offset), fitted by maximum likelihood to the targets (N₊ + 1) /
/// (N₊ + 2) for right verdicts and 1 / (N₋ + 2) for wrong ones. These targets keep a small set from
/// yielding certainty. Immutable, so that several threads may call it.
class Platt {
 public:
  explicit Platt(std::span<const ScoredVerdict> verdicts);

  [[nodiscard]] double operator()(double score) const;

  /// The fitted slope.
  [[nodiscard]] double slope() const noexcept { return slope_; }
  /// The fitted offset.
  [[nodiscard]] double offset() const noexcept { return offset_; }

 private:
  double slope_ = 0;
  double offset_ = 0;
};

}  // namespace sp2dpo::stats
