// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "rate_limit.hpp"

#include <sp2dpo/annotate/endpoint_options.hpp>

namespace sp2dpo::annotate {

/// Decides when an endpoint may send: by its concurrency, its rate limits, the gate that a 429
/// closes, and the circuit that consecutive failures open. Reads neither network nor clock. Not
/// thread-safe.
class Traffic {
 public:
  using Time = RateLimit::Time;
  using Wait = std::chrono::milliseconds;

  /// The reservation that send() made.
  struct Permit {
    std::uint64_t request;
    std::uint64_t tokens;
  };

  explicit Traffic(const EndpointOptions& options);

  /// Returns the first time, `now` or later, at which a request of this many tokens may be sent;
  /// Time::max() if a request in flight must return first.
  [[nodiscard]] Time ready(double tokens, Time now) const;
  /// Returns false if a request of this many tokens exceeds the limit per minute by itself.
  [[nodiscard]] bool possible(double tokens) const;

  /// Records that a request is sent. One of the next five calls must follow when it returns.
  Permit send(double tokens, Time now);
  void answered(const Permit& permit, std::optional<double> tokens);
  void throttled(std::optional<Wait> retry_after, Time now);
  void failed(Time now);
  /// `about_question`: the server takes other questions. `reason` is the server's, with its status.
  void rejected(bool about_question, int status, std::string_view reason);
  /// The request was taken back before it reached the server.
  void withdrawn() { --under_way_; }

  /// Returns the wait before attempt number `attempts` + 1.
  [[nodiscard]] Wait backoff(int attempts);

  /// Returns true once failures or rejections have made the endpoint unusable.
  [[nodiscard]] bool out_of_order() const noexcept { return out_of_order_; }
  [[nodiscard]] int under_way() const noexcept { return under_way_; }

 private:
  void alive();

  EndpointOptions options_;
  RateLimit requests_;
  RateLimit tokens_;
  std::mt19937_64 random_;
  int under_way_ = 0;
  double width_;       // how many may be in flight: halved by a 429, widened by replies
  Time gate_{};        // closed until then
  int throttles_ = 0;  // consecutive closings of the gate without a reply
  int failures_ = 0;   // in a row
  Time first_failure_{};
  bool open_ = false;   // the circuit
  int openings_ = 0;    // in a row
  Time probe_{};        // when an open circuit lets one request through
  int rejections_ = 0;  // in a row, for the same reason
  std::string rejection_;
  bool ever_answered_ = false;
  bool out_of_order_ = false;
};

}  // namespace sp2dpo::annotate
