// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/annotate/chat.hpp>
#include <sp2dpo/annotate/endpoint_options.hpp>
#include <sp2dpo/annotate/http_call.hpp>

namespace sp2dpo::annotate {

/// Counts of an Endpoint since its construction.
struct EndpointCounts {
  std::int64_t sent = 0;  ///< attempts
  std::int64_t answered = 0;
  std::int64_t throttled = 0;  ///< attempts that got a 429
  std::int64_t failed = 0;     ///< other attempts without a reply
  std::int64_t rejected = 0;   ///< refused for good
};

/// One server with its connections, rate limits and retries, shared by all its callers. It works
/// inside poll(), in the calling thread, and starts no threads. Safe to use from several threads at
/// once.
class Endpoint {
 public:
  /// Receives a request back with its final reply.
  using Callback = std::function<void(ChatRequest, ChatReply)>;

  /// Throws InvalidArgument for an invalid option and for a key variable that is not set.
  explicit Endpoint(EndpointOptions options);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  /// The options that the endpoint was made with.
  [[nodiscard]] const EndpointOptions& options() const noexcept;

  /// Queues a request; never blocks. `done` runs once, inside a later poll() or ask(), in the
  /// thread that called it. It may submit requests but not poll. Its exceptions leave through
  /// poll().
  void submit(ChatRequest request, Callback done);

  /// Runs one round: sends, receives, and calls back for every finished request. Waits up to
  /// `timeout` if none is finished. Returns how many callbacks ran.
  std::size_t poll(std::chrono::milliseconds timeout);
  /// Runs one round for several endpoints in one thread.
  static std::size_t poll(std::span<Endpoint* const> endpoints, std::chrono::milliseconds timeout);
  /// The same, sending nothing once `may_send` returns false. It is called before every request.
  static std::size_t poll(std::span<Endpoint* const> endpoints, std::chrono::milliseconds timeout,
                          const std::function<bool()>& may_send);

  /// Receives the key and the reply of every attempt that failed and will be repeated, inside
  /// poll(), in the thread that called it. An empty function ends it.
  using Observer = std::function<void(const std::string& key, const ChatReply& reply)>;
  void observe(Observer observer);

  /// Submits a request and blocks until its reply is final.
  [[nodiscard]] ChatReply ask(ChatRequest request);
  /// Makes one call and blocks until its reply is final; retries a GET as a request is retried. Any
  /// status below 400 is `answered`. The rate limits do not apply.
  [[nodiscard]] ChatReply call(const HttpCall& call);

  /// Requests whose callbacks have not run yet.
  [[nodiscard]] std::size_t unfinished() const;
  /// Takes back the requests that wait to be sent (again), and those of which no byte has been sent
  /// because their connection is not open yet. Those in flight run to their end.
  std::vector<ChatRequest> withdraw();
  /// Returns why the endpoint has stopped (a refused key, an exhausted quota, an outage); empty
  /// while it works. A stopped endpoint returns every request at once, with 0 attempts.
  [[nodiscard]] std::string stopped() const;
  /// Counts of attempts so far.
  [[nodiscard]] EndpointCounts counts() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate
