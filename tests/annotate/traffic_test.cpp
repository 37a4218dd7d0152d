// SPDX-License-Identifier: Apache-2.0
#include "wire/traffic.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <queue>
#include <random>
#include <vector>

#include <gmock/gmock.h>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Time = Traffic::Time;

constexpr Time start = Time{} + std::chrono::hours(1);

int sent_at_once(Traffic& traffic, Time now) {
  int sent = 0;
  while (traffic.ready(0, now) <= now) {
    traffic.send(0, now);
    ++sent;
  }
  return sent;
}

TEST(Traffic, SendsAsManyAtOnceAsItMay) {
  Traffic traffic({.base_url = {}, .max_concurrent = 5});
  EXPECT_EQ(sent_at_once(traffic, start), 5);
  EXPECT_EQ(traffic.ready(0, start), Time::max());
  traffic.answered({}, std::nullopt);
  EXPECT_EQ(sent_at_once(traffic, start), 1);
}

TEST(Traffic, OneTooManyClosesTheGateForAllUntilTheServersTime) {
  Traffic traffic({.base_url = {}, .max_concurrent = 4});
  sent_at_once(traffic, start);
  traffic.throttled(milliseconds(7000), start);
  const Time ready = traffic.ready(0, start);
  EXPECT_EQ(ready, Time::max());  // the width is 2 now, and 3 are in flight
  traffic.answered({}, std::nullopt);
  traffic.answered({}, std::nullopt);
  EXPECT_EQ(traffic.ready(0, start), start + seconds(7));
}

TEST(Traffic, ABurstOfTooManyHalvesTheWidthOnceAndAnswersWidenIt) {
  Traffic traffic({.base_url = {}, .max_concurrent = 16});
  sent_at_once(traffic, start);
  for (int i = 0; i < 16; ++i) traffic.throttled(milliseconds(1000), start);
  const Time later = start + minutes(5);
  EXPECT_EQ(sent_at_once(traffic, later), 8);
  for (int i = 0; i < 8; ++i) traffic.answered({}, std::nullopt);
  EXPECT_EQ(sent_at_once(traffic, later), 8);  // 8 + 8 × a bit less than 1/8
  for (int i = 0; i < 8; ++i) traffic.answered({}, std::nullopt);
  for (int i = 0; i < 1000; ++i) {
    traffic.send(0, later);
    traffic.answered({}, std::nullopt);
  }
  EXPECT_EQ(sent_at_once(traffic, later), 16);
}

TEST(Traffic, FailuresInARowOpenTheCircuitAndOneProbeClosesIt) {
  Traffic traffic({.base_url = {}, .max_concurrent = 8, .max_failures = 5});
  Time now = start;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(traffic.ready(0, now), now);
    traffic.send(0, now);
    traffic.failed(now);
  }
  const Time probe = traffic.ready(0, now);
  EXPECT_EQ(probe, now + seconds(1));  // 2 × 500 ms
  EXPECT_EQ(sent_at_once(traffic, probe), 1);
  traffic.failed(probe);
  now = traffic.ready(0, probe);
  EXPECT_EQ(now, probe + seconds(2));
  EXPECT_EQ(sent_at_once(traffic, now), 1);
  traffic.answered({}, std::nullopt);
  EXPECT_EQ(sent_at_once(traffic, now), 8);
}

TEST(Traffic, IsOutOfOrderAfterAnOutageThatLastsTooLong) {
  Traffic traffic({.base_url = {}, .max_failures = 3, .max_outage = minutes(10)});
  Time now = start;
  while (!traffic.out_of_order()) {
    now = traffic.ready(0, now);
    traffic.send(0, now);
    traffic.failed(now);
    ASSERT_LT(now, start + minutes(12));
  }
  EXPECT_GE(now, start + minutes(10));
}

/// Rejects requests until the endpoint is out of order, at most 50. Returns how many it took.
int reject(Traffic& traffic, bool about_question, int status, const std::string& reason) {
  for (int i = 0; i < 50; ++i) {
    if (traffic.out_of_order()) return i;
    traffic.send(0, start);
    traffic.rejected(about_question, status, reason + std::to_string(i));
  }
  return 50;
}

TEST(Traffic, IsOutOfOrderWhereEverythingIsRejectedForOneReason) {
  Traffic traffic({.base_url = {}, .max_failures = 3});
  EXPECT_EQ(reject(traffic, false, 400, "no such field, request "), 3);
}

TEST(Traffic, RejectionsOfSingleQuestionsDoNotCount) {
  Traffic filtered({.base_url = {}, .max_failures = 3});
  EXPECT_EQ(reject(filtered, true, 400, "content filter"), 50);

  Traffic different({.base_url = {}, .max_failures = 3});
  for (int i = 0; i < 50; ++i) {
    different.send(0, start);
    different.rejected(false, 400, i % 2 == 0 ? "this" : "that");
  }
  EXPECT_FALSE(different.out_of_order());

  Traffic working({.base_url = {}, .max_failures = 3});
  working.send(0, start);
  working.answered({}, std::nullopt);
  EXPECT_EQ(reject(working, false, 400, "an odd question"), 50);
}

TEST(Traffic, AModelThatGoesAwayPutsAWorkingEndpointOutOfOrder) {
  Traffic traffic({.base_url = {}, .max_failures = 3});
  traffic.send(0, start);
  traffic.answered({}, std::nullopt);
  EXPECT_EQ(reject(traffic, false, 404, "no such model"), 3);
}

TEST(Traffic, WaitsAreWithinTheDoubledBaseAndTheirCap) {
  Traffic traffic(
      {.base_url = {}, .backoff = milliseconds(100), .max_backoff = milliseconds(1000)});
  for (int attempt = 1; attempt <= 40; ++attempt) {
    const auto longest = std::min(1000.0, 100 * std::pow(2, attempt - 1));
    double sum = 0;
    for (int i = 0; i < 400; ++i) {
      const auto wait = traffic.backoff(attempt);
      EXPECT_GE(wait.count(), 0);
      EXPECT_LE(static_cast<double>(wait.count()), longest);
      sum += static_cast<double>(wait.count());
    }
    // The mean of 400 uniform draws is half the range, with a standard error of 1.4 %.
    EXPECT_NEAR(sum / 400, longest / 2, 0.08 * longest);
  }
}

/// A provider that counts strictly is never exceeded by a client that sends as fast as allowed.
class Limits : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Traffic, Limits, testing::Range(0, 30));

TEST_P(Limits, OfRequestsAndTokensHoldTogetherWhateverComesBackAndWhen) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const double rpm = std::uniform_int_distribution<>(20, 2000)(random);
  const double tpm = rpm * std::uniform_int_distribution<>(200, 2000)(random);
  EndpointOptions options{.base_url = {}};
  options.max_concurrent = 512;
  options.requests_per_minute = rpm;
  options.tokens_per_minute = tpm;
  Traffic traffic(options);

  struct Flying {
    Time back;
    Traffic::Permit permit;
    std::size_t sent;
    double tokens;
    int fate;
    bool operator>(const Flying& other) const { return back > other.back; }
  };
  struct Sent {
    Time when;
    double tokens;
  };
  std::priority_queue<Flying, std::vector<Flying>, std::greater<>> flying;
  std::vector<Sent> sent;
  int answered = 0;
  Time now = start;
  const Time end = start + minutes(20);
  while (now < end) {
    const double used = std::uniform_int_distribution<>(50, 550)(random);
    const Time ready = traffic.ready(4 * used, now);
    if (!flying.empty() && flying.top().back <= ready) {
      const Flying back = flying.top();
      flying.pop();
      now = std::max(now, back.back);
      if (back.fate == 0) {
        traffic.failed(now);
      } else {
        traffic.answered(back.permit, back.tokens);
        sent[back.sent].tokens = back.tokens;
        ++answered;
      }
      continue;
    }
    ASSERT_NE(ready, Time::max());
    now = ready;
    const auto permit = traffic.send(4 * used, now);
    flying.push({now + milliseconds(100 + random() % 4000), permit, sent.size(), used,
                 static_cast<int>(random() % 20)});
    sent.push_back({now, 4 * used});
  }

  double most_tokens = 0;
  double tokens = 0;
  std::size_t most_requests = 0;
  std::size_t first = 0;
  for (std::size_t last = 0; last < sent.size(); ++last) {
    tokens += sent[last].tokens;
    while (sent[last].when - sent[first].when > minutes(1)) tokens -= sent[first++].tokens;
    most_requests = std::max(most_requests, last - first + 1);
    most_tokens = std::max(most_tokens, tokens);
  }
  EXPECT_LE(static_cast<double>(most_requests), rpm);
  EXPECT_LE(most_tokens, tpm);
  // One of the two limits is reached: requests exactly, tokens up to the excess that requests in
  // flight reserve, three times their cost for 2 of 61 s.
  double all_tokens = 0;
  for (const auto& one : sent) all_tokens += one.tokens;
  const double requests_held = static_cast<double>(sent.size()) / (20 * rpm);
  const double tokens_held = all_tokens / (20 * tpm);
  EXPECT_TRUE(requests_held >= 0.95 || tokens_held >= 1 - 3 * 2.0 / 61 - 0.05)
      << requests_held << " of the requests, " << tokens_held << " of the tokens";
}

}  // namespace
}  // namespace sp2dpo::annotate
