// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/stats/calibration.hpp>

namespace sp2dpo::stats {

namespace {

std::vector<ScoredVerdict> sorted(std::span<const ScoredVerdict> verdicts) {
  detail::require(!verdicts.empty(), "calibration needs at least one verdict");
  for (const auto& verdict : verdicts) {
    detail::require(std::isfinite(verdict.score), "expected a finite score of a verdict, got {}",
                    verdict.score);
    detail::require(verdict.right >= 0 && verdict.right <= 1,
                    "how right a verdict was lies in [0, 1], not at {}", verdict.right);
  }
  std::vector<ScoredVerdict> result(verdicts.begin(), verdicts.end());
  std::ranges::sort(result, [](const ScoredVerdict& a, const ScoredVerdict& b) {
    return a.score != b.score ? a.score < b.score : a.right < b.right;
  });
  return result;
}

}  // namespace

double brier_score(std::span<const ScoredVerdict> verdicts) {
  double sum = 0;
  for (const auto& verdict : sorted(verdicts))
    sum += (verdict.score - verdict.right) * (verdict.score - verdict.right);
  return sum / static_cast<double>(verdicts.size());
}

std::vector<ReliabilityBin> reliability(std::span<const ScoredVerdict> verdicts, int bins) {
  detail::require(bins >= 1, "expected at least one bin, got {}", bins);
  const auto all = sorted(verdicts);
  std::vector<ReliabilityBin> result;
  std::size_t begin = 0;
  for (std::size_t bin = 1; begin < all.size(); ++bin) {
    // A bin ends at its quantile, then extends to the next change of the score.
    std::size_t end = all.size() * bin / static_cast<std::size_t>(bins);
    if (end <= begin) continue;
    while (end < all.size() && all[end].score == all[end - 1].score) ++end;
    ReliabilityBin sum;
    for (; begin < end; ++begin) {
      ++sum.n;
      sum.score += all[begin].score;
      sum.right += all[begin].right;
    }
    sum.score /= static_cast<double>(sum.n);
    sum.right /= static_cast<double>(sum.n);
    result.push_back(sum);
  }
  return result;
}

double expected_calibration_error(std::span<const ReliabilityBin> bins) {
  double sum = 0, n = 0;
  for (const auto& bin : bins) {
    sum += static_cast<double>(bin.n) * std::abs(bin.right - bin.score);
    n += static_cast<double>(bin.n);
  }
  detail::require(n > 0, "calibration needs at least one verdict");
  return sum / n;
}

Isotonic::Isotonic(std::span<const ScoredVerdict> verdicts) {
  struct Block {
    double right, n;     // sums
    std::size_t scores;  // distinct scores
  };
  std::vector<Block> blocks;
  const auto all = sorted(verdicts);
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    Block block{0, 0, 1};
    for (; end < all.size() && all[end].score == all[begin].score; ++end) {
      block.right += all[end].right;
      ++block.n;
    }
    scores_.push_back(all[begin].score);
    while (!blocks.empty() && blocks.back().right * block.n >= block.right * blocks.back().n) {
      block.right += blocks.back().right;
      block.n += blocks.back().n;
      block.scores += blocks.back().scores;
      blocks.pop_back();
    }
    blocks.push_back(block);
  }
  for (const auto& block : blocks)
    values_.insert(values_.end(), block.scores, block.right / block.n);
}

double Isotonic::operator()(double score) const {
  const auto above = std::ranges::lower_bound(scores_, score);
  if (above == scores_.begin()) return values_.front();
  if (above == scores_.end()) return values_.back();
  const auto i = static_cast<std::size_t>(above - scores_.begin());
  return std::lerp(values_[i - 1], values_[i],
                   (score - scores_[i - 1]) / (scores_[i] - scores_[i - 1]));
}

Platt::Platt(std::span<const ScoredVerdict> verdicts) {
  const auto all = sorted(verdicts);
  double right = 0;
  for (const auto& verdict : all) right += verdict.right;
  const double wrong = static_cast<double>(all.size()) - right;
  const double high = (right + 1) / (right + 2), low = 1 / (wrong + 2);
  const auto target = [&](const ScoredVerdict& verdict) {
    return std::lerp(low, high, verdict.right);
  };
  const auto cost = [&](double slope, double offset) {
    double sum = 0;
    for (const auto& verdict : all) {
      const double z = slope * verdict.score + offset;
      sum += std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))) - target(verdict) * z;
    }
    return sum;
  };

  offset_ = std::log((right + 1) / (wrong + 1));
  double value = cost(slope_, offset_);
  for (int iteration = 0; iteration < 200; ++iteration) {
    double gs = 0, go = 0, hss = 0, hso = 0, hoo = 0;
    for (const auto& verdict : all) {
      const double q = (*this)(verdict.score);
      const double residual = q - target(verdict), curvature = q * (1 - q);
      gs += residual * verdict.score;
      go += residual;
      hss += curvature * verdict.score * verdict.score;
      hso += curvature * verdict.score;
      hoo += curvature;
    }
    const double determinant = hss * hoo - hso * hso;
    // With equal scores the slope is undefined and stays 0.
    const bool flat = !(determinant > 1e-12 * hss * hoo);
    double slope = flat ? 0 : -(hoo * gs - hso * go) / determinant;
    double offset = flat ? -go / hoo : -(hss * go - hso * gs) / determinant;
    if (!(std::max(std::abs(slope), std::abs(offset)) > 1e-12)) break;
    double next = cost(slope_ + slope, offset_ + offset);
    for (int halving = 0; next > value && halving < 60; ++halving) {
      slope /= 2;
      offset /= 2;
      next = cost(slope_ + slope, offset_ + offset);
    }
    if (next > value) break;
    slope_ += slope;
    offset_ += offset;
    value = next;
  }
}

double Platt::operator()(double score) const {
  return 1 / (1 + std::exp(-(slope_ * score + offset_)));
}

}  // namespace sp2dpo::stats
