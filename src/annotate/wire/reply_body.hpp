// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "repair_json.hpp"
#include <simdjson.h>

namespace sp2dpo::annotate {

/// A reply's body as JSON, also where a strict parser refuses it.
struct ReplyBody {
  std::optional<simdjson::dom::element> json{};  ///< an object or a list; lives in the parser
  bool repaired = false;
  RepairedJson repairs{};  ///< what was repaired, without its text

  /// Says which of its texts may not be what the sender meant; empty if all are.
  [[nodiscard]] std::string damage() const;
};

/// Parses a body into `parser`.
[[nodiscard]] ReplyBody parse_reply_body(std::string_view body, simdjson::dom::parser& parser);

/// Returns the list of choices in a reply; empty if it has no list with an item.
[[nodiscard]] std::optional<simdjson::dom::array> choices_in(simdjson::dom::element document);

/// True for an event stream of a chat completion.
[[nodiscard]] bool is_event_stream(std::string_view body);

}  // namespace sp2dpo::annotate
