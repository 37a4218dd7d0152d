// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace sp2dpo::annotate {

/// A limit per minute of something that a request costs: itself, or tokens. Two rules at once: what
/// was sent within any window stays within the limit, whatever it costs, and it is spread over the
/// window, with bursts of at most 2 % of it. A cost is reserved when the request goes out, and
/// settled when the true one is known.
class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  /// A second longer than the minute of the provider, who counts when a request arrives: one that
  /// needed a new connection arrives later than the next one that did not.
  static constexpr Seconds window{61.0};

  /// 0 = no limit.
  explicit RateLimit(double per_minute) : limit_(per_minute) {}

  /// The first moment, `now` or later, at which so much may be sent; Time::max() = never.
  [[nodiscard]] Time ready(double cost, Time now) const;
  /// Reserves it. Returns a ticket for settle().
  std::uint64_t take(double cost, Time now);
  /// What ticket's request cost in truth.
  void settle(std::uint64_t ticket, double cost);

 private:
  struct Sent {
    Time when;
    double cost;
  };

  [[nodiscard]] Time::duration pace(double cost) const;

  double limit_;
  std::deque<Sent> sent_;    // within the window, as it was at the last take()
  double sum_ = 0;           // of their costs
  std::uint64_t first_ = 0;  // ticket of sent_.front()
  Time even_{};              // when all that was sent would be, at an even pace
};

}  // namespace sp2dpo::annotate
