// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <simdjson.h>

#include <sp2dpo/annotate/chat.hpp>

namespace sp2dpo::annotate {

/// Reads the token counts of a reply. Tokens that only the total has are counted as completion.
/// Empty unless the counts are whole, at least 0, consistent with each other, and at most what the
/// request and its reply can have (`request` null: below 10^9).
[[nodiscard]] std::optional<Usage> read_usage(simdjson::dom::element document,
                                              const ChatRequest* request = nullptr);

}  // namespace sp2dpo::annotate
