// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <simdjson.h>

namespace sp2dpo::annotate {

/// What a server says went wrong. Three shapes of it are known: `{"error": {…}}` or `{"error":
/// "…"}`, a list around one of these (Gemini), and `{"detail": …}` (FastAPI).
struct ErrorBody {
  std::string code{};     ///< `code`, an integer or null in some places, else `type` or `status`
  std::string message{};  ///< of at most 300 bytes, in one line
  std::optional<std::chrono::milliseconds> retry_delay{};  ///< Gemini's, in place of a header
  bool bad_key = false;
};

/// Empty where the document is no error.
[[nodiscard]] std::optional<ErrorBody> read_error(simdjson::dom::element document);

/// The beginning of what a server or a library wrote, as one line for a message.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace sp2dpo::annotate
