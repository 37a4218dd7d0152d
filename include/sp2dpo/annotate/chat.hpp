// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sp2dpo::annotate {

/// One question to a teacher, ready to be sent.
struct ChatRequest {
  std::string body{};            ///< the JSON that is sent
  std::string key{};             ///< its place in the store, 64 hex digits
  std::uint64_t prompt_bytes{};  ///< of all messages; no tokenizer gives more tokens than bytes
  std::uint32_t max_tokens{};    ///< that the answer may have
};

/// Tokens as the provider counted them.
struct Usage {
  std::int64_t prompt_tokens{};
  std::int64_t completion_tokens{};

  friend bool operator==(const Usage&, const Usage&) = default;
};

/// What became of a ChatRequest in the end. The key of the endpoint is blotted out of every text in
/// it, should a server have echoed it.
struct ChatReply {
  enum class Kind : std::uint8_t {
    answered,   ///< a completion came, whatever may be in it
    transport,  ///< none came: connection, time, a busy or failing server; asking again may help
    quota,      ///< the account is exhausted: nothing more will come until somebody pays or waits
    rejected    ///< the endpoint does not take this request: a field, the model, the key
  };

  Kind kind = Kind::transport;
  int http_status = 0;       ///< of the last attempt; 0 where no status line came
  std::string body{};        ///< of the last attempt, as it came
  std::string request_id{};  ///< the provider's, from the header x-request-id
  std::optional<Usage> usage{};
  double seconds = 0;    ///< that the last attempt took
  int attempts = 0;      ///< how often the request was sent
  std::string detail{};  ///< for people, where kind is not answered: what came instead
};

}  // namespace sp2dpo::annotate
