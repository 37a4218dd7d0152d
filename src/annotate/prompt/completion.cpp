// SPDX-License-Identifier: Apache-2.0
#include "completion.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "wire/error_body.hpp"
#include <fmt/format.h>
#include <simdjson.h>

namespace sp2dpo::annotate {
namespace {

using Kind = AnnotationFailure::Kind;
using simdjson::dom::element;

std::string text_of(const simdjson::simdjson_result<element>& value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::string in_lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Returns the content if it is a text, or the texts of a list of parts.
std::string content_of(element message) {
  simdjson::dom::array parts;
  if (message["content"].get(parts) != simdjson::SUCCESS) return text_of(message["content"]);
  std::string text;
  for (const element part : parts)
    if (text_of(part["type"]) == "text") text += text_of(part["text"]);
  return text;
}

bool has(const auto& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

AnnotationFailure no_json(simdjson::error_code error, std::string_view body) {
  // simdjson reports half of a surrogate pair like any other bad escape.
  const bool surrogate =
      error == simdjson::STRING_ERROR &&
      (body.find("\\ud") != std::string_view::npos || body.find("\\uD") != std::string_view::npos);
  if (surrogate) return {Kind::encoding, "the reply has half of a surrogate pair"};
  if (error == simdjson::UTF8_ERROR) return {Kind::encoding, "the reply is not UTF-8"};
  return {Kind::malformed, fmt::format("not JSON: {}", one_line(body))};
}

}  // namespace

std::variant<Completion, AnnotationFailure> read_completion(std::string_view body) {
  static thread_local simdjson::dom::parser parser;
  element document;
  if (const auto error = parser.parse(body.data(), body.size()).get(document))
    return no_json(error, body);
  simdjson::dom::array choices;
  if (document["choices"].get(choices) != simdjson::SUCCESS) {
    const auto error = read_error(document);
    return AnnotationFailure{Kind::malformed,
                             error ? error->message : "not a completion: " + one_line(body)};
  }
  if (choices.size() != 1)
    return AnnotationFailure{Kind::malformed,
                             fmt::format("expected one choice, got {}", choices.size())};
  const element choice = *choices.begin();
  element message;
  if (choice["message"].get(message) != simdjson::SUCCESS || !message.is_object())
    return AnnotationFailure{Kind::malformed, "the choice has no message"};

  static constexpr std::array filtered = {"content_filter",     "safety", "recitation", "blocklist",
                                          "prohibited_content", "spii"};
  static constexpr std::array truncated = {"length", "max_tokens"};
  static constexpr std::array called = {"tool_calls", "function_call"};
  const std::string finish = in_lower_case(text_of(choice["finish_reason"]));
  const std::string refusal = text_of(message["refusal"]);
  std::string text = content_of(message);
  if (has(filtered, finish))
    return AnnotationFailure{Kind::filtered, fmt::format("finish_reason {}", finish)};
  if (!refusal.empty()) return AnnotationFailure{Kind::refused, one_line(refusal)};
  if (has(truncated, finish))
    return AnnotationFailure{Kind::truncated,
                             fmt::format("finish_reason {} after {} bytes", finish, text.size())};
  if (has(called, finish))
    return AnnotationFailure{Kind::malformed, fmt::format("finish_reason {}", finish)};
  if (is_blank(text)) return AnnotationFailure{Kind::empty, "no text"};
  std::string model = text_of(document["model"]);
  if (!simdjson::validate_utf8(text) || !simdjson::validate_utf8(model))
    return AnnotationFailure{Kind::encoding, "the reply has half of a surrogate pair"};
  return Completion{std::move(text), std::move(model)};
}

}  // namespace sp2dpo::annotate
