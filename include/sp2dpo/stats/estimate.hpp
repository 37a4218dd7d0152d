// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <sp2dpo/schedule/linear.hpp>

namespace sp2dpo::stats {

/// A statistic as far as the data defines it: either `value`, or the `reason` why there is none.
struct Estimate {
  std::optional<double> value{};
  std::int64_t n{};              ///< units that counted
  std::optional<Interval> ci{};  ///< 95 %; empty where there is none
  std::string reason{};          ///< empty where there is a value

  [[nodiscard]] static Estimate of(double value, std::int64_t n) { return {value, n, {}, {}}; }
  [[nodiscard]] static Estimate undefined(std::string reason, std::int64_t n) {
    return {{}, n, {}, std::move(reason)};
  }
};

/// Resampling of units with replacement for a percentile interval. The same seed gives the same
/// interval on every machine; no replicates, no interval.
struct Bootstrap {
  int replicates = 1000;
  std::uint64_t seed = 1;
};

}  // namespace sp2dpo::stats
