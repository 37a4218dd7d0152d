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

/// One reply as the wire gave it, without the key.
struct HttpReply {
  int status = 0;
  std::string body{};
  std::string retry_after{};  ///< headers; empty = not there
  std::string retry_after_ms{};
  std::string date{};
  std::string should_retry{};
  std::string location{};
};

/// What one reply means.
struct Verdict {
  enum class Next {
    deliver,  ///< this is the end of the request
    retry,    ///< ask again, later
    slower,   ///< ask again, later, and so everybody
    stop      ///< nobody need ask here again
  };

  ChatReply::Kind kind{};
  Next next = Next::deliver;
  std::optional<std::chrono::milliseconds> retry_after{};
  std::optional<Usage> usage{};
  std::string detail{};
};

/// Of a reply that came to its end. `chat`: a completion is expected, not just any answer.
[[nodiscard]] Verdict judge(const HttpReply& reply, bool chat, simdjson::dom::parser& parser);

/// The wait that a server asks for, by `retry-after-ms`, or `retry-after` in seconds or as a date
/// (reckoned from the server's own `date`, where it gave one). What is not above 0, beyond a day or
/// not to be read is no wait.
[[nodiscard]] std::optional<std::chrono::milliseconds> wanted_wait(const HttpReply& reply,
                                                                   std::time_t now);

}  // namespace sp2dpo::annotate
