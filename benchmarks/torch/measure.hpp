// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

namespace sp2dpo::benchmarks {

/// Returns the wall-clock seconds of one call.
template <class F>
double seconds_of(F&& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The competitors by name. Each works once per call and returns the seconds that count.
using Contenders = std::map<std::string, std::function<double()>>;

struct Timing {
  double median = 0;
  double spread = 0;  ///< from the 20th percentile to the 80th, over the median
};

/// Runs every contender once per round, in a new random order each time, for about `budget` seconds
/// in all and at least three rounds. A first round, which does not count, warms memory and threads.
std::map<std::string, Timing> measure(const Contenders& contenders, double budget);

}  // namespace sp2dpo::benchmarks
