// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sp2dpo::annotate {

/// One question to a judge, ready to be sent. What is sent is sent_body(): the body with `"stream":
/// false` and the seed of the attempt, neither of which is part of the key.
struct ChatRequest {
  std::string body{};            ///< the JSON to send
  std::string key{};             ///< SHA-256 that identifies it in the store, 64 hex digits
  std::uint64_t prompt_bytes{};  ///< of all messages; no tokenizer makes more tokens than bytes
  std::uint32_t max_tokens{};    ///< limit on the reply
  int ask = 0;  ///< how often it was answered before; moves the seed that is sent, if it has one
};

/// Returns the bytes that an Endpoint sends: the body with `"stream":false`, unless it has that
/// field, and with its `seed`, if it has one, moved by `ask` times 10^6.
[[nodiscard]] std::string sent_body(const ChatRequest& request);
/// Returns the seed in sent_body(), for a body that is sent for the `ask`-th time; empty if it has
/// none.
[[nodiscard]] std::optional<std::int64_t> sent_seed(std::string_view body, int ask);

/// Token counts as the provider reports them.
struct Usage {
  std::int64_t prompt_tokens{};
  std::int64_t completion_tokens{};

  friend bool operator==(const Usage&, const Usage&) = default;
};

/// The final result of a ChatRequest. The endpoint's key is redacted from every text in it, in case
/// a server echoes it.
struct ChatReply {
  /// How the request ended.
  enum class Kind : std::uint8_t {
    answered,   ///< a completion arrived, usable or not
    transport,  ///< none arrived: connection, timeout, a busy or failing server; a retry may help
    quota,      ///< the account is exhausted until someone pays or waits
    rejected    ///< the endpoint refuses this request: a field, the model, the key
  };

  Kind kind = Kind::transport;
  int http_status = 0;       ///< of the last attempt; 0 without a status line
  std::string body{};        ///< of the last attempt, as received
  std::string request_id{};  ///< the provider's, from the header x-request-id
  std::optional<Usage> usage{};
  double seconds = 0;    ///< duration of the last attempt
  int attempts = 0;      ///< how often the request was sent
  Usage spent{};         ///< what failed attempts reported as used; providers may charge it
  std::string detail{};  ///< for people, unless answered: what arrived instead
};

}  // namespace sp2dpo::annotate
