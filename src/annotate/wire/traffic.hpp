// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "rate_limit.hpp"

#include <sp2dpo/annotate/endpoint.hpp>

namespace sp2dpo::annotate {

/// When an endpoint may send: its concurrency, its rate limits, the gate that a 429 closes, and the
/// circuit that failures in a row open. Knows no network and no clock.
class Traffic {
 public:
  using Time = RateLimit::Time;
  using Wait = std::chrono::milliseconds;

  /// What send() reserved.
  struct Permit {
    std::uint64_t request;
    std::uint64_t tokens;
  };

  explicit Traffic(const EndpointOptions& options);

  /// The first moment, `now` or later, at which a request of so many tokens may go out; Time::max()
  /// where one that is under way must come back first.
  [[nodiscard]] Time ready(double tokens, Time now) const;
  /// Whether a request of so many tokens is within the limit of a minute at all.
  [[nodiscard]] bool possible(double tokens) const;

  /// A request goes out; one of the four below must follow when it is back.
  Permit send(double tokens, Time now);
  void answered(const Permit& permit, std::optional<double> tokens);
  void throttled(std::optional<Wait> retry_after, Time now);
  void failed(Time now);
  void rejected();

  /// How long a request waits before attempt number `attempts` + 1.
  [[nodiscard]] Wait backoff(int attempts);

  /// True after failures, or rejections, that leave no hope.
  [[nodiscard]] bool out_of_order() const noexcept { return out_of_order_; }
  [[nodiscard]] int under_way() const noexcept { return under_way_; }

 private:
  void alive();

  EndpointOptions options_;
  RateLimit requests_;
  RateLimit tokens_;
  std::mt19937_64 random_;
  int under_way_ = 0;
  double width_;       // how many may be under way: halved by a 429, widened by answers
  Time gate_{};        // closed until then
  int throttles_ = 0;  // closings of the gate without an answer between
  int failures_ = 0;   // in a row
  Time first_failure_{};
  bool open_ = false;   // the circuit
  int openings_ = 0;    // in a row
  Time probe_{};        // when an open circuit lets one request through
  int rejections_ = 0;  // in a row
  bool out_of_order_ = false;
};

}  // namespace sp2dpo::annotate
