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

/// The faults of a FakeProvider: what it does instead of a plain reply, or to one.
enum class Fault : std::uint8_t {
  none,
  // An answer all the same.
  chunked,
  gzip,
  trickle,      ///< in small pieces
  large,        ///< of one megabyte
  wrong_type,   ///< called text/html
  other_model,  ///< the reply names another model
  bad_utf8,     ///< the text has bytes that are not UTF-8
  echoed_key,   ///< the text has the key, with some letters escaped
  // None, but the next attempt may bring one.
  too_many,          ///< 429
  too_many_seconds,  ///< 429 with Retry-After: 1
  too_many_ms,       ///< 429 with retry-after-ms: 20
  too_many_date,     ///< 429 with Retry-After: a date one second on
  too_many_absurd,   ///< 429 with Retry-After: -5
  error_500,
  busy_503,
  reset,         ///< connection reset instead of a reply
  reset_midway,  ///< connection reset in the middle of a reply
  truncated,     ///< ends before its Content-Length
  html,          ///< a page under status 200
  empty,         ///< an empty body under status 200
  hidden_error,  ///< an error object under status 200
  hang,          ///< no reply, ever
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
/// Throws std::invalid_argument for an unknown name.
[[nodiscard]] Fault fault_named(std::string_view name);

/// One request, as a fault plan sees it.
struct Asked {
  std::uint64_t hash;   ///< of its body
  int attempt;          ///< number of requests with this body so far, including this one
  std::int64_t number;  ///< of all requests, from 0
};
using FaultPlan = std::function<Fault(const Asked&)>;

/// Plans every transient or harmless fault for a share `rate` of the attempts. The choice depends
/// on body, attempt and seed only. From the eighth attempt on, requests succeed.
[[nodiscard]] FaultPlan mixed_faults(double rate, std::uint64_t seed, bool hangs = false);

struct FakeOptions {
  int port = 0;               ///< 0 = any
  std::string key{};          ///< the only accepted key; empty = any
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
  std::int64_t answered = 0;      ///< replies that went out whole
  std::int64_t asked_again = 0;   ///< requests whose reply had gone out whole before
  std::int64_t most_at_once = 0;  ///< largest number of requests that waited for a reply at once
};

/// An OpenAI-compatible server on this machine, in its own thread. A reply depends on the request
/// only. If the request has a JSON schema, as response_format or in its text, the reply is an
/// instance of it. A body that contains `fake(NAME)` or `fake(NAME*3)` meets that fault, always or
/// in its first 3 attempts, before any plan. Also serves files, `GET /counts`, and batches, whose
/// lines come out of order, one in seven of them repeated.
class FakeProvider {
 public:
  explicit FakeProvider(FakeOptions options = {});
  ~FakeProvider();
  FakeProvider(const FakeProvider&) = delete;
  FakeProvider& operator=(const FakeProvider&) = delete;

  [[nodiscard]] int port() const;
  [[nodiscard]] std::string base_url() const;  ///< http(s)://127.0.0.1:port/v1
  [[nodiscard]] FakeCounts counts() const;
  /// Returns the times of all chat requests, in order.
  [[nodiscard]] std::vector<std::chrono::steady_clock::time_point> arrivals() const;
  /// Returns the heads of the first requests, without bodies.
  [[nodiscard]] std::string heads() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate::test
