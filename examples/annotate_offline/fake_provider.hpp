// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sp2dpo::annotate::test {

/// What a FakeProvider does in place of, or with, a plain answer.
enum class Fault : std::uint8_t {
  none,
  // An answer all the same.
  chunked,
  gzip,
  trickle,      ///< in small pieces
  large,        ///< of one megabyte
  wrong_type,   ///< called text/html
  other_model,  ///< the answer names another model
  bad_utf8,     ///< bytes that are no UTF-8 in the text
  echoed_key,   ///< the key stands in the text, with some of its letters escaped
  // None, but the next attempt may bring one.
  too_many,          ///< 429
  too_many_seconds,  ///< 429 with Retry-After: 1
  too_many_ms,       ///< 429 with retry-after-ms: 20
  too_many_date,     ///< 429 with Retry-After: a date one second on
  too_many_absurd,   ///< 429 with Retry-After: -5
  error_500,
  busy_503,
  reset,         ///< connection reset in place of an answer
  reset_midway,  ///< in the middle of one
  truncated,     ///< ends before its Content-Length
  html,          ///< a page under status 200
  empty,         ///< nothing under status 200
  hidden_error,  ///< an error object under status 200
  hang,          ///< nothing ever
  // None, for good.
  bad_field,      ///< 400 unsupported_parameter
  array_error,    ///< 400, Gemini's list around an error
  detail_error,   ///< 422, FastAPI's {"detail": …}
  unknown_model,  ///< 404
  bad_key,        ///< 401 that repeats the key in body and headers
  quota,          ///< 429 insufficient_quota
  long_wait,      ///< 429 with Retry-After: 36000
  redirect,       ///< 307 to another port
};
inline constexpr std::size_t n_faults = static_cast<std::size_t>(Fault::redirect) + 1;

[[nodiscard]] std::string_view name_of(Fault fault);
/// Throws std::invalid_argument for a name that no fault has.
[[nodiscard]] Fault fault_named(std::string_view name);

/// One request, as the one who plans faults sees it.
struct Asked {
  std::uint64_t hash;   ///< of its body
  int attempt;          ///< how often this body came, with this time
  std::int64_t number;  ///< of all requests, from 0
};
using FaultPlan = std::function<Fault(const Asked&)>;

/// Faults of every kind that passes or does no harm, in a share `rate` of the attempts that depends
/// on nothing but body, attempt and seed; none from the eighth attempt on.
[[nodiscard]] FaultPlan mixed_faults(double rate, std::uint64_t seed, bool hangs = false);

struct FakeOptions {
  int port = 0;               ///< 0 = any
  std::string key{};          ///< the only one that is let in; empty = all are
  std::string certificate{};  ///< PEM files: TLS; empty = none
  std::string private_key{};
  std::chrono::milliseconds latency{0};
  FaultPlan plan{};
  int redirect_port = 0;  ///< where Fault::redirect points to
};

struct FakeCounts {
  std::int64_t connections = 0;
  std::int64_t requests = 0;      ///< chat completions
  std::int64_t distinct = 0;      ///< bodies
  std::int64_t answered = 0;      ///< answers that went out whole
  std::int64_t asked_again = 0;   ///< requests whose answer had gone out whole before
  std::int64_t most_at_once = 0;  ///< requests waiting for their answer
};

/// An OpenAI-compatible server on this machine, in one thread of its own. An answer depends on
/// nothing but the request: where that has a JSON schema, as response_format or in its text, the
/// answer is an instance of it. A request whose body has `fake(NAME)` or `fake(NAME*3)` in it meets
/// that fault, always or in its first 3 attempts, before any plan. Also serves files and batches,
/// with the batch's lines out of order, one in seven twice, and `GET /counts`.
class FakeProvider {
 public:
  explicit FakeProvider(FakeOptions options = {});
  ~FakeProvider();
  FakeProvider(const FakeProvider&) = delete;
  FakeProvider& operator=(const FakeProvider&) = delete;

  [[nodiscard]] int port() const;
  [[nodiscard]] std::string base_url() const;  ///< http(s)://127.0.0.1:port/v1
  [[nodiscard]] FakeCounts counts() const;
  /// When each chat completion was asked for, in order.
  [[nodiscard]] std::vector<std::chrono::steady_clock::time_point> arrivals() const;
  /// The heads of all requests, without their bodies, while they are few.
  [[nodiscard]] std::string heads() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate::test
