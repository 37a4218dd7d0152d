// SPDX-License-Identifier: Apache-2.0
#include "error_body.hpp"

#include <array>
#include <charconv>
#include <cstddef>

namespace sp2dpo::annotate {
namespace {

using simdjson::dom::element;

/// Returns a text, or a number as text; else empty.
std::string plain(const simdjson::simdjson_result<element>& value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  std::int64_t number = 0;
  return value.get(number) == simdjson::SUCCESS ? std::to_string(number) : std::string();
}

/// Returns a text, or any other value as JSON, in one line.
std::string told(element value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? one_line(text) : one_line(simdjson::minify(value));
}

/// Parses a duration such as `"34.5s"`.
std::optional<std::chrono::milliseconds> duration(std::string_view text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || std::string_view(end, text.data() + text.size()) != "s" ||
      !(seconds > 0 && seconds < 1e6))
    return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

ErrorBody read_object(element error) {
  ErrorBody read;
  read.message = one_line(plain(error["message"]));
  for (const char* const name : {"code", "type", "status"})
    if (read.code.empty()) read.code = plain(error[name]);
  read.bad_key = read.code == "invalid_api_key";
  simdjson::dom::array details;
  if (error["details"].get(details) == simdjson::SUCCESS) {
    for (const element item : details) {
      if (const auto delay = duration(plain(item["retryDelay"]))) read.retry_delay = delay;
      if (plain(item["reason"]) == "API_KEY_INVALID") read.bad_key = true;
    }
  }
  return read;
}

}  // namespace

std::optional<ErrorBody> read_error(element document) {
  simdjson::dom::array list;
  if (document.get(list) == simdjson::SUCCESS)
    return list.size() == 1 ? read_error(list.at(0).value()) : std::nullopt;

  element error;
  if (document["error"].get(error) == simdjson::SUCCESS && !error.is_null()) {
    ErrorBody read = error.is_object() ? read_object(error) : ErrorBody();
    if (read.message.empty()) read.message = told(error);
    return read;
  }
  for (const char* const name : {"detail", "message"}) {
    if (document[name].get(error) == simdjson::SUCCESS) return ErrorBody{.message = told(error)};
  }
  return std::nullopt;
}

std::string one_line(std::string_view text) {
  constexpr std::size_t longest = 300;
  std::string line;
  for (const char c : text.substr(0, longest))
    line += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
  // The cut may split a character, and the text may be invalid UTF-8 anyway.
  if (simdjson::validate_utf8(line)) return text.size() > longest ? line + "…" : line;
  for (char& c : line)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return text.size() > longest ? line + "…" : line;
}

}  // namespace sp2dpo::annotate
