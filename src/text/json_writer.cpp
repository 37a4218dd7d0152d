// SPDX-License-Identifier: Apache-2.0
#include "text/json_writer.hpp"

#include <cmath>
#include <cstddef>
#include <iterator>
#include <variant>
#include <vector>

#include <fmt/compile.h>
#include <simdjson.h>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::text {

void append_json(std::string& to, std::string_view text) {
  to += '"';
  std::size_t plain = 0;  // start of the run that needs no escape
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
    to.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        to += "\\\"";
        break;
      case '\\':
        to += "\\\\";
        break;
      case '\b':
        to += "\\b";
        break;
      case '\f':
        to += "\\f";
        break;
      case '\n':
        to += "\\n";
        break;
      case '\r':
        to += "\\r";
        break;
      case '\t':
        to += "\\t";
        break;
      default:
        fmt::format_to(std::back_inserter(to), "\\u{:04x}", static_cast<unsigned>(c));
    }
  }
  to.append(text, plain);
  to += '"';
}

void append_json(std::string& to, double number) {
  detail::require(std::isfinite(number), "cannot write {} as a JSON number", number);
  const std::size_t start = to.size();
  char digits[32];
  to.append(digits, fmt::format_to(digits, FMT_COMPILE("{}"), number));
  // Otherwise readers infer an integer column from betas that start with 1.
  if (to.find_first_of(".e", start) == std::string::npos) to += ".0";
}

void require_utf8(std::string_view written) {
  detail::require(simdjson::validate_utf8(written.data(), written.size()),
                  "cannot write text that is not UTF-8");
}

void append(JsonWriter& json, const Text& text) {
  if (const auto* const plain = std::get_if<std::string>(&text)) {
    json.text(*plain);
    return;
  }
  json.open('[');
  for (const auto& message : std::get<std::vector<Message>>(text)) {
    json.item().open('{');
    json.key("content").text(message.content);
    json.key("role").text(message.role);
    json.close('}');
  }
  json.close(']');
}

}  // namespace sp2dpo::text
