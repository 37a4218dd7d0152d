// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <span>
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
  std::optional<Usage> usage{};  ///< of a failure too: providers charge some
  std::string detail{};
  bool about_question = false;  ///< a rejection that says nothing about other questions
};

/// What a reply is expected to be.
struct Expected {
  bool completion = true;                         ///< a chat completion, not any document
  std::span<const std::string> finish_reasons{};  ///< the server's own words for a complete reply
  const ChatRequest* request = nullptr;           ///< bounds the usage
};

/// Classifies a reply that arrived completely. Under status 200, `choices` count as an answer only
/// without an error in them or beside them, and unless the server failed while it replied. An
/// answer may still be unusable: read_completion() names the reason.
[[nodiscard]] ReplyVerdict classify(const HttpReply& reply, const Expected& expected,
                                    simdjson::dom::parser& parser);

/// What a stored body is worth.
struct Standing {
  /// False for a failure, which does not count as an attempt to answer: an error, a server that
  /// failed, or a `finish_reason` in no table.
  bool counts = false;
  bool unstated = false;  ///< it counts, and has no `finish_reason`
};

[[nodiscard]] Standing standing_of(std::string_view body,
                                   std::span<const std::string> finish_reasons);

/// Returns the wait that a server requests by `retry-after-ms`, or by `retry-after` in any form
/// that read_wait() knows (dates relative to the server's `date` if present). Empty for a wait that
/// is absent, unreadable or over.
[[nodiscard]] std::optional<std::chrono::milliseconds> wanted_wait(const HttpReply& reply,
                                                                   std::time_t now);

}  // namespace sp2dpo::annotate
