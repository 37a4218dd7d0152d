// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "text/printable.hpp"
#include <simdjson.h>

namespace sp2dpo::annotate {

using text::one_line;

/// A server's error. Servers use four shapes: `{"error": {…}}` or `{"error": "…"}`, a list around
/// one of these (Gemini), `{"errors": […]}`, and `{"detail": …}` (FastAPI). Texts are printable.
struct ErrorBody {
  std::string code{};     ///< `code` (an integer or null in some places), else `type` or `status`
  std::string message{};  ///< at most 300 bytes, one line
  std::optional<std::chrono::milliseconds> retry_delay{};  ///< Gemini's substitute for Retry-After
  bool bad_key = false;
};

/// Returns the error in a reply; empty if the document has none of these shapes.
[[nodiscard]] std::optional<ErrorBody> read_error(simdjson::dom::element document);

/// Returns the error that stands in a reply's key `error` or `errors`. A value that is null, false,
/// 0 or empty is no error.
[[nodiscard]] std::optional<ErrorBody> error_in(simdjson::dom::element document);

}  // namespace sp2dpo::annotate
