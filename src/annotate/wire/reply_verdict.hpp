// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include <simdjson.h>

#include <sp2dpo/annotate/chat.hpp>

namespace sp2dpo::annotate {

/// One HTTP reply as received, with the key redacted.
struct HttpReply {
  int status = 0;
  std::string body{};
  std::string retry_after{};  ///< this and the next four: headers; empty if absent
  std::string retry_after_ms{};
  std::string date{};
  std::string should_retry{};
  std::string location{};
};

/// The meaning of one reply.
struct ReplyVerdict {
  enum class Next {
    deliver,  ///< final: hand the reply to the caller
    retry,    ///< send the request again later
    slower,   ///< send the request again later, and pause all others
    stop      ///< the endpoint is unusable
  };

  ChatReply::Kind kind{};
  Next next = Next::deliver;
  std::optional<std::chrono::milliseconds> retry_after{};
  std::optional<Usage> usage{};
  std::string detail{};
};

/// Classifies a reply that arrived completely. `chat`: expects a completion, not any document.
[[nodiscard]] ReplyVerdict classify(const HttpReply& reply, bool chat,
                                    simdjson::dom::parser& parser);

/// Returns the wait that a server requests by `retry-after-ms`, or by `retry-after` in seconds or
/// as a date (relative to the server's `date` if present). Empty for a wait that is absent,
/// unreadable, not above 0 or longer than a day.
[[nodiscard]] std::optional<std::chrono::milliseconds> wanted_wait(const HttpReply& reply,
                                                                   std::time_t now);

}  // namespace sp2dpo::annotate
