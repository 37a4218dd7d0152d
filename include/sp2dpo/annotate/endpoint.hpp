// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/annotate/chat.hpp>

namespace sp2dpo::annotate {

/// Where an OpenAI-compatible server is, and how it may be used.
struct EndpointOptions {
  /// Up to and without `/chat/completions`. https, or http to this machine. No user, no query.
  std::string base_url;
  /// Name of the environment variable that holds the key; empty = no key is sent. The key itself
  /// stands in no option, message or reply.
  std::string key_variable{};
  std::string ca_file{};    ///< PEM file of the authorities to trust; empty = the system's
  std::string proxy{};      ///< URL; empty = as http_proxy, https_proxy and no_proxy say
  bool allow_http = false;  ///< to another machine too, which sends key and texts unprotected

  int max_concurrent = 32;         ///< requests under way at once
  double requests_per_minute = 0;  ///< never exceeded in any 60 seconds; 0 = no limit
  double tokens_per_minute = 0;    ///< prompt and answer together; likewise

  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{600'000};  ///< of one attempt in all
  std::size_t max_answer_bytes = 64U << 20U;   ///< after decompression

  int max_attempts = 10;                   ///< per request
  std::chrono::milliseconds backoff{500};  ///< mean wait is half of this, doubled each time
  std::chrono::milliseconds max_backoff{60'000};
  /// The longest wait that a server may ask for by Retry-After; asked for more, the endpoint stops.
  std::chrono::milliseconds max_retry_after{600'000};
  /// This many failed attempts in a row, with no answer between, open the circuit: nothing is sent
  /// for a while, then one request to try. So many rejections in a row stop the endpoint.
  int max_failures = 20;
  /// Without an answer for this long while the circuit is open, the endpoint stops.
  std::chrono::milliseconds max_outage{900'000};
  std::uint64_t seed = 0;  ///< of the jitter in the waits
};

/// A call to a server that is no chat completion: its files and batches.
struct HttpCall {
  std::string method;  ///< GET, POST or DELETE
  std::string path;    ///< behind the base URL: `/batches/batch_1`
  std::string body{};  ///< JSON, of a POST
  /// Not empty: the POST is a form with this file as its field `file`, and `fields`.
  std::filesystem::path file{};
  std::map<std::string, std::string> fields{};
};

/// What an Endpoint has done since it was made.
struct EndpointCounts {
  std::int64_t sent = 0;  ///< attempts
  std::int64_t answered = 0;
  std::int64_t throttled = 0;  ///< attempts answered by 429
  std::int64_t failed = 0;     ///< other attempts that are asked again or were given up
  std::int64_t rejected = 0;   ///< for good
};

/// One server: its connections, gate, rate limits and retries, shared by all who ask it. It runs in
/// poll(), on the caller's thread, and has no thread of its own. Safe to call from several threads.
class Endpoint {
 public:
  using Callback = std::function<void(ChatRequest, ChatReply)>;

  /// Throws InvalidArgument for an option that cannot be, or a key variable that is not set.
  explicit Endpoint(EndpointOptions options);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  [[nodiscard]] const EndpointOptions& options() const noexcept;

  /// Queues a request; never blocks. `done` runs once, inside a later poll() or ask() on whichever
  /// thread is in there; it may submit more, but not poll. What it throws, poll() throws.
  void submit(ChatRequest request, Callback done);

  /// Sends, receives, and runs the callbacks of what is finished, however much that is: one round.
  /// Waits up to `timeout` where nothing is. Returns how many callbacks ran.
  std::size_t poll(std::chrono::milliseconds timeout);
  /// The same for several endpoints that one thread looks after.
  static std::size_t poll(std::span<Endpoint* const> endpoints, std::chrono::milliseconds timeout);

  /// Submits one and waits for it.
  [[nodiscard]] ChatReply ask(ChatRequest request);
  /// Makes one call and waits for it; a GET is tried again like a request. Any status below 400 is
  /// `answered`. Not counted by the rate limits.
  [[nodiscard]] ChatReply call(const HttpCall& call);

  /// Requests whose callbacks have not run yet.
  [[nodiscard]] std::size_t unfinished() const;
  /// Takes back what waits to be sent (again); what is under way goes on to its end.
  std::vector<ChatRequest> withdraw();
  /// Why the endpoint sends nothing any more (a refused key, an exhausted quota, an outage), empty
  /// while it does. What is submitted then comes back at once, with 0 attempts.
  [[nodiscard]] std::string stopped() const;
  [[nodiscard]] EndpointCounts counts() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate
