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

/// The bytes of a reply, and how they and the connection are handled.
struct Response {
  enum class After : std::uint8_t { keep, close, reset };

  std::string bytes{};
  After after = After::keep;
  std::chrono::milliseconds latency{0};  ///< before the first byte
  std::size_t piece = 0;                 ///< bytes per millisecond; 0 = all at once
  bool hang = false;                     ///< sends nothing more on this connection
  /// Called once: true if the whole reply went out, false if the connection ended before.
  std::function<void(bool whole)> ended{};
};

/// Returns the value of `name: value` in a request's head, or an empty text. Ignores the case of
/// names.
[[nodiscard]] std::string header(std::string_view head, std::string_view name);

struct LoopbackOptions {
  int port = 0;               ///< 0 = any
  std::string certificate{};  ///< PEM files: TLS; empty = none
  std::string private_key{};
};

/// An HTTP/1.1 server on 127.0.0.1 in its own thread, for any number of connections.
class LoopbackServer {
 public:
  /// The head includes its line ends.
  using Handler = std::function<Response(const std::string& head, const std::string& body)>;

  /// Calls `respond` in the server's thread. Holds `mutex` while bytes go out and Response::ended
  /// is called, so that a client that has read a reply and then locks it sees that call done.
  LoopbackServer(const LoopbackOptions& options, std::mutex& mutex, Handler respond);
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;
  ~LoopbackServer();

  [[nodiscard]] int port() const;
  [[nodiscard]] bool tls() const;
  [[nodiscard]] std::int64_t connections() const;  ///< number of connections so far

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate::test
