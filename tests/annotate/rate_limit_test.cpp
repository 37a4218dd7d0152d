// SPDX-License-Identifier: Apache-2.0
#include "wire/rate_limit.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include <gmock/gmock.h>

namespace sp2dpo::annotate {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Time = RateLimit::Time;

struct Sent {
  Time when;
  double cost;
};

/// Returns the largest cost within any closed minute, by definition.
double most_in_a_minute(const std::vector<Sent>& sent) {
  double most = 0;
  double sum = 0;
  std::size_t first = 0;
  for (const auto& last : sent) {
    sum += last.cost;
    while (last.when - sent[first].when > seconds(60)) sum -= sent[first++].cost;
    most = std::max(most, sum);
  }
  return most;
}

double total(const std::vector<Sent>& sent) {
  double sum = 0;
  for (const auto& one : sent) sum += one.cost;
  return sum;
}

class RequestsPerMinute : public testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(RateLimit, RequestsPerMinute,
                         testing::Values(1, 2, 3, 7, 10, 59, 60, 61, 500, 3000, 30000));

TEST_P(RequestsPerMinute, AreReachedAndNeverExceededBySendingAtOnce) {
  const double limit = GetParam();
  RateLimit rate(limit);
  const Time begin{};
  std::vector<Sent> sent;
  for (Time now = begin; now < begin + seconds(1200);) {
    now = rate.ready(1, now);
    rate.take(1, now);
    sent.push_back({now, 1});
  }
  EXPECT_LE(most_in_a_minute(sent), limit);
  EXPECT_GE(total(sent) / 20, 0.95 * limit);
}

TEST_P(RequestsPerMinute, AreNeverExceededAfterPauses) {
  const double limit = GetParam();
  std::mt19937 random(3);
  RateLimit rate(limit);
  std::vector<Sent> sent;
  Time now{};
  for (int i = 0; i < 20000; ++i) {
    if (random() % 200 == 0) now += milliseconds(random() % 90000);
    now = rate.ready(1, now);
    rate.take(1, now);
    sent.push_back({now, 1});
  }
  EXPECT_LE(most_in_a_minute(sent), limit);
}

TEST(RateLimit, BurstsAreAtMostAFiftiethOfTheLimit) {
  RateLimit rate(3000);
  const Time now{};
  int at_once = 0;
  while (rate.ready(1, now) == now) {
    rate.take(1, now);
    ++at_once;
  }
  EXPECT_LE(at_once, 61);
  EXPECT_GE(at_once, 59);
}

TEST(RateLimit, SettlesTheTrueCostOnceItIsKnown) {
  // Each request reserves five times its true cost, which is known 2 s after sending on average. So
  // 2 of 61 s hold four times too much; that is the price of never exceeding the limit.
  constexpr double limit = 100'000;
  std::mt19937 random(5);
  RateLimit rate(limit);
  struct Flying {
    Time back;
    std::uint64_t ticket;
    std::size_t sent;
    double cost;
  };
  std::vector<Flying> flying;
  std::vector<Sent> sent;
  const Time begin{};
  for (Time now = begin; now < begin + seconds(900);) {
    const double used = std::uniform_int_distribution<>(200, 999)(random);
    Time ready = rate.ready(5 * used, now);
    std::ranges::sort(flying, std::less<>(), &Flying::back);
    if (!flying.empty() && flying.front().back <= ready) {
      now = std::max(now, flying.front().back);
      rate.settle(flying.front().ticket, flying.front().cost);
      sent[flying.front().sent].cost = flying.front().cost;
      flying.erase(flying.begin());
      continue;
    }
    now = ready;
    flying.push_back(
        {now + milliseconds(500 + random() % 3000), rate.take(5 * used, now), sent.size(), used});
    sent.push_back({now, 5 * used});
  }
  for (const auto& one : flying) sent[one.sent].cost = one.cost;
  EXPECT_LE(most_in_a_minute(sent), limit);
  EXPECT_GE(total(sent) / 15, 0.75 * limit);
}

TEST(RateLimit, HoldsForACostOfAThirdOfTheLimit) {
  RateLimit rate(1000);
  std::vector<Sent> sent;
  Time now{};
  for (int i = 0; i < 300; ++i) {
    const double cost = i % 3 == 0 ? 333 : 40;
    now = rate.ready(cost, now);
    rate.take(cost, now);
    sent.push_back({now, cost});
  }
  EXPECT_LE(most_in_a_minute(sent), 1000);
}

TEST(RateLimit, NeverSendsACostAboveTheLimit) {
  EXPECT_EQ(RateLimit(100).ready(101, Time{}), Time::max());
  EXPECT_EQ(RateLimit(100).ready(100, Time{}), Time{});
}

TEST(RateLimit, ZeroMeansUnlimited) {
  RateLimit rate(0);
  const Time now = Time{} + seconds(5);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(rate.ready(1e9, now), now);
    rate.settle(rate.take(1e9, now), 3);
  }
}

}  // namespace
}  // namespace sp2dpo::annotate
