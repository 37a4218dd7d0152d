// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

namespace sp2dpo::benchmarks {

/// Wall-clock time of one call.
template <class F>
double seconds_of(F&& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The contenders by name. A call does its work once and returns the seconds to count.
using Contenders = std::map<std::string, std::function<double()>>;

struct Timing {
  double median = 0;
  double spread = 0;  ///< from the 20th percentile to the 80th, over the median
};

/// Calls the contenders in turn, in a random order per round, for about `budget` seconds in total
/// and at least three rounds. A first round, which is not counted, warms memory and threads.
std::map<std::string, Timing> measure(const Contenders& contenders, double budget);

}  // namespace sp2dpo::benchmarks
