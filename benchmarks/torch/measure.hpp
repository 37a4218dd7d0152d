// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

namespace sp2dpo::benchmarks {

/// Of one call, on the clock.
template <class F>
double seconds_of(F&& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// By name, what is to be compared: does its work once and returns the seconds that count.
using Contenders = std::map<std::string, std::function<double()>>;

struct Timing {
  double median = 0;
  double spread = 0;  ///< from the 20th percentile to the 80th, over the median
};

/// Each contender in turn, in an order drawn anew each round, for about `budget` seconds in all but
/// no fewer than three rounds. A first round, which does not count, warms memory and threads.
std::map<std::string, Timing> measure(const Contenders& contenders, double budget);

}  // namespace sp2dpo::benchmarks
