// SPDX-License-Identifier: Apache-2.0
#include "reply_body.hpp"

namespace sp2dpo::annotate {

using simdjson::dom::element;

std::string ReplyBody::damage() const {
  if (!repaired || !repairs.changed_text()) return {};
  if (repairs.bad_utf8) return "the reply is not UTF-8";
  if (repairs.bad_escape) return "the reply has half of a surrogate pair or an unknown escape";
  return repairs.cut ? "the reply's JSON breaks off" : "more text follows the reply's JSON";
}

ReplyBody parse_reply_body(std::string_view body, simdjson::dom::parser& parser) {
  const auto parse = [&](std::string_view text) -> std::optional<element> {
    element document;
    if (parser.parse(text.data(), text.size()).get(document) != simdjson::SUCCESS ||
        !(document.is_object() || document.is_array()))
      return std::nullopt;
    return document;
  };
  ReplyBody read;
  read.json = parse(body);
  if (read.json) return read;
  read.repairs = repair_json(body);
  if (read.repairs.text.empty()) return read;
  read.json = parse(read.repairs.text);
  read.repaired = read.json.has_value();
  read.repairs.text.clear();
  return read;
}

std::optional<simdjson::dom::array> choices_in(element document) {
  simdjson::dom::array choices;
  if (!document.is_object() || document["choices"].get(choices) != simdjson::SUCCESS ||
      choices.size() == 0)
    return std::nullopt;
  return choices;
}

bool is_event_stream(std::string_view body) {
  const auto begin = body.find_first_not_of(" \t\r\n");
  return begin != std::string_view::npos && body.substr(begin).starts_with("data:") &&
         body.find("\"choices\"") != std::string_view::npos;
}

}  // namespace sp2dpo::annotate
