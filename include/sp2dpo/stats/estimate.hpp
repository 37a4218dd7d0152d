// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <sp2dpo/schedule/beta_mapper.hpp>

namespace sp2dpo::stats {

/// A statistic, or the reason why the data leaves it undefined. Exactly one of `value` and `reason`
/// is set.
struct Estimate {
  std::optional<double> value{};
  std::int64_t n{};              ///< number of units that the statistic uses
  std::optional<Interval> ci{};  ///< 95 % confidence interval, if the method has one
  std::string reason{};          ///< why the value is missing

  /// Makes an estimate with a value.
  [[nodiscard]] static Estimate of(double value, std::int64_t n) { return {value, n, {}, {}}; }
  /// Makes an estimate without a value.
  [[nodiscard]] static Estimate undefined(std::string reason, std::int64_t n) {
    return {{}, n, {}, std::move(reason)};
  }
};

/// Settings of a percentile interval from units resampled with replacement. The same seed gives the
/// same interval on every machine.
struct Bootstrap {
  int replicates = 1000;  ///< 0 leaves the interval out
  std::uint64_t seed = 1;
};

}  // namespace sp2dpo::stats
