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
    if (read.code.empty()) read.code = one_line(plain(error[name]));
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

/// True if a value of `error` says something.
bool says_something(element value) {
  std::string_view text;
  double number = 0;
  bool yes = false;
  simdjson::dom::object fields;
  simdjson::dom::array items;
  if (value.get(text) == simdjson::SUCCESS) return !text.empty();
  if (value.get(number) == simdjson::SUCCESS) return number != 0;
  if (value.get(yes) == simdjson::SUCCESS) return yes;
  if (value.get(fields) == simdjson::SUCCESS) return fields.size() > 0;
  if (value.get(items) == simdjson::SUCCESS) return items.size() > 0;
  return false;
}

}  // namespace

std::optional<ErrorBody> error_in(element document) {
  for (const char* const name : {"error", "errors"}) {
    element error;
    if (document[name].get(error) != simdjson::SUCCESS || !says_something(error)) continue;
    simdjson::dom::array list;
    if (error.get(list) == simdjson::SUCCESS) error = list.at(0).value();
    ErrorBody read = error.is_object() ? read_object(error) : ErrorBody();
    if (read.message.empty()) read.message = told(error);
    return read;
  }
  return std::nullopt;
}

std::optional<ErrorBody> read_error(element document) {
  simdjson::dom::array list;
  if (document.get(list) == simdjson::SUCCESS)
    return list.size() == 1 ? read_error(list.at(0).value()) : std::nullopt;
  if (auto error = error_in(document)) return error;
  for (const char* const name : {"detail", "message"}) {
    element error;
    if (document[name].get(error) != simdjson::SUCCESS || error.is_null()) continue;
    // Another API may have an object called message.
    if (error.is_string() || name[0] == 'd') return ErrorBody{.message = told(error)};
  }
  return std::nullopt;
}

}  // namespace sp2dpo::annotate
