// SPDX-License-Identifier: Apache-2.0
#include "rate_limit.hpp"

#include <algorithm>
#include <cstddef>

namespace sp2dpo::annotate {
namespace {

constexpr auto window_ticks =
    std::chrono::duration_cast<RateLimit::Time::duration>(RateLimit::window);
constexpr auto burst = window_ticks / 50;

}  // namespace

RateLimit::Time::duration RateLimit::pace(double cost) const {
  return std::chrono::duration_cast<Time::duration>(window * (cost / limit_));
}

RateLimit::Time RateLimit::ready(double cost, Time now) const {
  if (limit_ == 0) return now;
  if (cost > limit_) return Time::max();
  Time ready = std::max(now, even_ - burst);
  double sum = sum_ + cost;
  for (const auto& sent : sent_) {
    const Time gone = sent.when + window_ticks;
    if (gone > ready && sum <= limit_) break;
    ready = std::max(ready, gone);
    sum -= sent.cost;
  }
  return ready;
}

std::uint64_t RateLimit::take(double cost, Time now) {
  if (limit_ == 0) return 0;
  while (!sent_.empty() && sent_.front().when + window_ticks <= now) {
    sum_ -= sent_.front().cost;
    sent_.pop_front();
    ++first_;
  }
  // Sums of differences drift; an empty window resets the sum.
  if (sent_.empty()) sum_ = 0;
  even_ = std::max(even_, now) + pace(cost);
  sum_ += cost;
  sent_.push_back({now, cost});
  return first_ + sent_.size() - 1;
}

void RateLimit::settle(std::uint64_t ticket, double cost) {
  if (limit_ == 0 || ticket < first_) return;
  auto& sent = sent_[static_cast<std::size_t>(ticket - first_)];
  even_ += pace(cost) - pace(sent.cost);
  sum_ += cost - sent.cost;
  sent.cost = cost;
}

}  // namespace sp2dpo::annotate
