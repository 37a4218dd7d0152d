// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace sp2dpo::annotate {

/// Limits what requests cost per minute, counted in requests or in tokens. Two rules hold at once:
/// the cost within any window stays within the limit, and it is spread over the window with bursts
/// of at most 2 %. A request reserves its cost when it is sent and settles it when the true cost is
/// known. Reads no clock. Not thread-safe.
class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  /// One second more than the provider's minute. Providers count arrivals, and a request on a new
  /// connection arrives later than the next one on an open connection.
  static constexpr Seconds window{61.0};

  /// A limit of 0 means unlimited.
  explicit RateLimit(double per_minute) : limit_(per_minute) {}

  /// Returns the first time, `now` or later, at which this cost may be sent; Time::max(): never.
  [[nodiscard]] Time ready(double cost, Time now) const;
  /// Reserves the cost and returns a ticket for settle().
  std::uint64_t take(double cost, Time now);
  /// Replaces the reserved cost by the true one.
  void settle(std::uint64_t ticket, double cost);

 private:
  struct Sent {
    Time when;
    double cost;
  };

  [[nodiscard]] Time::duration pace(double cost) const;

  double limit_;
  std::deque<Sent> sent_;    // in the window at the last take()
  double sum_ = 0;           // of their costs
  std::uint64_t first_ = 0;  // ticket of sent_.front()
  Time even_{};              // when the costs so far would have been sent at an even pace
};

}  // namespace sp2dpo::annotate
