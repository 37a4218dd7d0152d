// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sp2dpo::stats {

/// A verdict, and whether it was right.
struct ScoredVerdict {
  double score{};  ///< how sure it was: a probability, where it is taken as one
  double right{};  ///< 1 right, 0 wrong, 0.5 for half of each
};

/// Mean of (score − right)².
[[nodiscard]] double brier_score(std::span<const ScoredVerdict> verdicts);

/// Verdicts of about the same score: a point of a reliability diagram.
struct ReliabilityBin {
  std::int64_t n{};
  double score{};  ///< mean
  double right{};  ///< share that was right
};

/// Up to `bins` bins with about equally many verdicts; equal scores are never apart. Throws
/// InvalidArgument for fewer than one bin, without verdicts, and for a score that is not finite or
/// a `right` outside [0, 1]; so do the functions below.
[[nodiscard]] std::vector<ReliabilityBin> reliability(std::span<const ScoredVerdict> verdicts,
                                                      int bins = 10);

/// ECE: the mean distance between score and share that was right, weighted by the bins' sizes.
[[nodiscard]] double expected_calibration_error(std::span<const ReliabilityBin> bins);

/// The non-decreasing step function of the score that is closest to `right` in least squares (pool
/// adjacent violators, equal scores pooled first), linear between the scores seen, flat beyond.
class Isotonic {
 public:
  explicit Isotonic(std::span<const ScoredVerdict> verdicts);

  [[nodiscard]] double operator()(double score) const;

 private:
  std::vector<double> scores_;  // distinct, sorted
  std::vector<double> values_;
};

/// σ(slope · score + offset), after Platt: fitted by likelihood to (N₊ + 1) / (N₊ + 2) for what was
/// right and 1 / (N₋ + 2) for what was not, so that a small set does not make it certain.
class Platt {
 public:
  explicit Platt(std::span<const ScoredVerdict> verdicts);

  [[nodiscard]] double operator()(double score) const;

  [[nodiscard]] double slope() const noexcept { return slope_; }
  [[nodiscard]] double offset() const noexcept { return offset_; }

 private:
  double slope_ = 0;
  double offset_ = 0;
};

}  // namespace sp2dpo::stats
