// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace sp2dpo::annotate::test {

/// What goes back for a request, as bytes, and what becomes of the connection then.
struct Response {
  enum class After : std::uint8_t { keep, close, reset };

  std::string bytes{};
  After after = After::keep;
  std::chrono::milliseconds latency{0};  ///< before the first byte
  std::size_t piece = 0;                 ///< of so many bytes, one a millisecond; 0 = at once
  bool hang = false;                     ///< nothing more on this connection
  /// Called once: whether all of it went out, or the connection ended before.
  std::function<void(bool whole)> ended{};
};

/// The value of `name: value` in a request's head, empty where it is not there; names are compared
/// without their case.
[[nodiscard]] std::string header(std::string_view head, std::string_view name);

struct LoopbackOptions {
  int port = 0;               ///< 0 = any
  std::string certificate{};  ///< PEM files: TLS; empty = none
  std::string private_key{};
};

/// An HTTP/1.1 server on 127.0.0.1, in one thread of its own, for as many connections as come.
class LoopbackServer {
 public:
  /// The head has all its lines' ends.
  using Handler = std::function<Response(const std::string& head, const std::string& body)>;

  /// `respond` is called in the server's thread. `mutex` is held while bytes go out and
  /// Response::ended is called: who has read an answer and locks it, finds the answer's end told.
  LoopbackServer(const LoopbackOptions& options, std::mutex& mutex, Handler respond);
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;
  ~LoopbackServer();

  [[nodiscard]] int port() const;
  [[nodiscard]] bool tls() const;
  [[nodiscard]] std::int64_t connections() const;  ///< how many have come

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate::test
