// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::stats {

namespace {

/// Returns why a correlation is undefined, or an empty string if it is defined.
std::string undefined_reason(std::span<const double> a, std::span<const double> b) {
  detail::require(a.size() == b.size(), "expected lists of equal length, got {} and {} values",
                  a.size(), b.size());
  for (const auto side : {a, b})
    for (const double value : side)
      detail::require(std::isfinite(value), "expected a finite value, got {}", value);
  if (a.size() < 2) return "both raters rated fewer than two common units";
  for (const auto side : {a, b})
    if (std::ranges::all_of(side, [&](double value) { return value == side[0]; }))
      return "one list is constant";
  return {};
}

double pairs_of(std::size_t n) {
  return static_cast<double>(n) * static_cast<double>(n - 1) / 2;
}

/// Counts the pairs within runs of equal neighbours.
template <class Equal>
double tied_pairs(std::size_t n, Equal equal) {
  double sum = 0;
  for (std::size_t begin = 0, end = 1; begin < n; begin = end++) {
    while (end < n && equal(begin, end)) ++end;
    sum += pairs_of(end - begin);
  }
  return sum;
}

/// Sorts the values and counts the pairs that were out of order.
double sort_inversions(std::vector<double>& values) {
  std::vector<double> merged(values.size());
  double inversions = 0;
  for (std::size_t width = 1; width < values.size(); width *= 2) {
    for (std::size_t begin = 0; begin < values.size(); begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, values.size());
      const std::size_t end = std::min(begin + 2 * width, values.size());
      std::size_t left = begin, right = middle;
      for (std::size_t to = begin; to < end; ++to) {
        if (left < middle && (right == end || values[left] <= values[right])) {
          merged[to] = values[left++];
        } else {
          merged[to] = values[right++];
          inversions += static_cast<double>(middle - left);
        }
      }
    }
    values.swap(merged);
  }
  return inversions;
}

}  // namespace

std::vector<double> mid_ranks(std::span<const double> values) {
  std::vector<std::pair<double, std::size_t>> order(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) order[i] = {values[i], i};
  std::ranges::sort(order);
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && order[end].first == order[begin].first) ++end;
    for (std::size_t i = begin; i < end; ++i)
      ranks[order[i].second] = static_cast<double>(begin + end + 1) / 2;
  }
  return ranks;
}

Estimate spearman(std::span<const double> a, std::span<const double> b) {
  const auto n = std::ssize(a);
  if (auto reason = undefined_reason(a, b); !reason.empty()) return Estimate::undefined(reason, n);
  const auto x = mid_ranks(a), y = mid_ranks(b);
  const double middle = static_cast<double>(n + 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
    xy += (x[i] - middle) * (y[i] - middle);
  }
  return Estimate::of(std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0), n);
}

Estimate kendall_tau_b(std::span<const double> a, std::span<const double> b) {
  const auto n = a.size();
  if (auto reason = undefined_reason(a, b); !reason.empty())
    return Estimate::undefined(reason, std::ssize(a));
  // Knight's algorithm: after sorting by a, each inversion in b is a discordant pair.
  std::vector<std::pair<double, double>> points(n);
  for (std::size_t i = 0; i < n; ++i) points[i] = {a[i], b[i]};
  std::ranges::sort(points);
  const double tied_a = tied_pairs(
      n, [&](std::size_t i, std::size_t j) { return points[i].first == points[j].first; });
  const double tied_both =
      tied_pairs(n, [&](std::size_t i, std::size_t j) { return points[i] == points[j]; });
  std::vector<double> second(n);
  for (std::size_t i = 0; i < n; ++i) second[i] = points[i].second;
  const double discordant = sort_inversions(second);
  const double tied_b =
      tied_pairs(n, [&](std::size_t i, std::size_t j) { return second[i] == second[j]; });

  const double all = pairs_of(n);
  const double difference = all - tied_a - tied_b + tied_both - 2 * discordant;
  const double tau = difference / std::sqrt(all - tied_a) / std::sqrt(all - tied_b);
  return Estimate::of(std::clamp(tau, -1.0, 1.0), std::ssize(a));
}

}  // namespace sp2dpo::stats
