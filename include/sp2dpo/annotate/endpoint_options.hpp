// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sp2dpo::annotate {

/// The address of an OpenAI-compatible server, and the limits on its use.
struct EndpointOptions {
  /// URL up to `/chat/completions`. https, or http to this machine. Without a user or a password. A
  /// query may have parameters that cannot be a secret, such as Azure's `api-version`.
  std::string base_url;
  /// Name of the environment variable that holds the key; empty: no key is sent. No option, message
  /// or reply contains the key itself.
  std::string key_variable{};
  /// Header that carries the key, such as `api-key`. Empty: `Authorization: Bearer KEY`, or
  /// `api-key` for an address of Azure.
  std::string key_header{};
  std::map<std::string, std::string> headers{};  ///< further headers; none may hold a key
  /// What this server says as `finish_reason` of a complete reply, in addition to the usual words.
  std::vector<std::string> finish_reasons{};
  std::string ca_file{};    ///< PEM file of trusted authorities; empty: the system's
  std::string proxy{};      ///< URL; empty: http_proxy, https_proxy and no_proxy apply
  bool allow_http = false;  ///< to other machines too, which sends key and texts in the clear

  int max_concurrent = 32;         ///< requests in flight
  double requests_per_minute = 0;  ///< limit in every window of 60 seconds; 0: unlimited
  double tokens_per_minute = 0;    ///< prompt and reply together, likewise

  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{600'000};  ///< of one attempt in total
  std::size_t max_reply_bytes = 64U << 20U;    ///< after decompression

  int max_attempts = 10;                   ///< per request
  std::chrono::milliseconds backoff{500};  ///< mean wait is half of this, doubled each time
  std::chrono::milliseconds max_backoff{60'000};
  /// The longest wait that a server may request by Retry-After. A longer one stops the endpoint.
  std::chrono::milliseconds max_retry_after{600'000};
  /// So many consecutive failed attempts open the circuit: nothing is sent for a while, then one
  /// request as a probe. So many consecutive rejections for one reason stop the endpoint, unless
  /// they are about the question itself or the server has answered others.
  int max_failures = 20;
  /// The longest time without a reply while the circuit is open. After it the endpoint stops.
  std::chrono::milliseconds max_outage{900'000};
  /// How long every attempt may fail before the server has sent its first byte (refused
  /// connections, unknown hosts). After it the endpoint stops.
  std::chrono::milliseconds max_silence{30'000};
  std::uint64_t seed = 0;  ///< of the jitter in the waits; 0: a random one
};

}  // namespace sp2dpo::annotate
