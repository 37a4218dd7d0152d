// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <simdjson.h>

namespace sp2dpo::annotate {

/// A server's error. Servers use three shapes: `{"error": {…}}` or `{"error": "…"}`, a list around
/// one of these (Gemini), and `{"detail": …}` (FastAPI).
struct ErrorBody {
  std::string code{};     ///< `code` (an integer or null in some places), else `type` or `status`
  std::string message{};  ///< at most 300 bytes, one line
  std::optional<std::chrono::milliseconds> retry_delay{};  ///< Gemini's substitute for Retry-After
  bool bad_key = false;
};

/// Returns the error in a reply; empty if the document has none of these shapes.
[[nodiscard]] std::optional<ErrorBody> read_error(simdjson::dom::element document);

/// Returns the beginning of a foreign text as one line of UTF-8 for a message.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace sp2dpo::annotate
