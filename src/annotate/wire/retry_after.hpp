// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string_view>

namespace sp2dpo::annotate {

/// Reads a wait in any form that servers use: seconds (`3`, `1.5`), a duration (`3s`, `1m30s`,
/// `250ms`, `2 hours`), a date of HTTP or ISO 8601, seconds since 1970, or a list of these, of
/// which the longest counts. A date counts from `now`. Empty for a text in no such form; 0 for a
/// wait that is over.
[[nodiscard]] std::optional<std::chrono::milliseconds> read_wait(std::string_view text,
                                                                 std::time_t now);

/// Reads an HTTP date; empty if it is in no known form.
[[nodiscard]] std::optional<std::time_t> read_http_date(std::string_view text);

}  // namespace sp2dpo::annotate
