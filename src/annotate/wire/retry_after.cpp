// SPDX-License-Identifier: Apache-2.0
#include "retry_after.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "trimmed.hpp"
#include <curl/curl.h>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;

/// Ten years; no server means more.
constexpr double ten_years = 315'360'000;
/// Above this, a number of seconds is a time since 1970.
constexpr double since_1970 = 1e9;

std::optional<milliseconds> wait_of(double seconds) {
  if (!std::isfinite(seconds)) return std::nullopt;
  return milliseconds(
      static_cast<std::int64_t>(std::min(std::max(seconds, 0.0), ten_years) * 1000));
}

/// Takes a number from the beginning of `text`.
std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Reads `90s`, `1m30.5s`, `2 hours`. Returns seconds.
std::optional<double> read_duration(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 19> units = {
      {{"ms", 1e-3},
       {"milliseconds", 1e-3},
       {"s", 1},
       {"sec", 1},
       {"secs", 1},
       {"second", 1},
       {"seconds", 1},
       {"m", 60},
       {"min", 60},
       {"mins", 60},
       {"minute", 60},
       {"minutes", 60},
       {"h", 3600},
       {"hr", 3600},
       {"hour", 3600},
       {"hours", 3600},
       {"d", 86'400},
       {"day", 86'400},
       {"days", 86'400}}};
  if (text.empty()) return std::nullopt;
  double sum = 0;
  while (!text.empty()) {
    const auto value = take_number(text);
    if (!value) return std::nullopt;
    text = trimmed(text);
    std::size_t letters = 0;
    std::string unit;
    while (letters < text.size() &&
           ((text[letters] | 0x20) >= 'a' && (text[letters] | 0x20) <= 'z'))
      unit += static_cast<char>(text[letters++] | 0x20);
    const auto* found = units.begin();
    while (found != units.end() && found->first != unit) ++found;
    if (found == units.end()) return std::nullopt;
    sum += *value * found->second;
    text = trimmed(text.substr(letters));
  }
  return sum;
}

/// Takes `digits` decimal digits from the beginning of `text`, after an optional separator.
std::optional<int> take_digits(std::string_view& text, std::size_t digits,
                               std::string_view before) {
  if (!before.empty()) {
    if (text.empty() || before.find(text.front()) == std::string_view::npos) return std::nullopt;
    text.remove_prefix(1);
  }
  int value = 0;
  if (text.size() < digits) return std::nullopt;
  const char* const end = text.data() + digits;
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || last != end || value < 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

/// Reads `2026-01-31T10:00:00Z`, with a fraction or an offset.
std::optional<std::time_t> read_iso_date(std::string_view text) {
  const auto year = take_digits(text, 4, "");
  const auto month = year ? take_digits(text, 2, "-") : std::nullopt;
  const auto day = month ? take_digits(text, 2, "-") : std::nullopt;
  const auto hour = day ? take_digits(text, 2, "Tt ") : std::nullopt;
  const auto minute = hour ? take_digits(text, 2, ":") : std::nullopt;
  const auto second = minute ? take_digits(text, 2, ":") : std::nullopt;
  if (!second || *month < 1 || *month > 12 || *day < 1 || *day > 31) return std::nullopt;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') text.remove_prefix(1);
  }
  std::time_t offset = 0;
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    const int sign = text.front() == '-' ? -1 : 1;
    text.remove_prefix(1);
    const auto hours = take_digits(text, 2, "");
    if (text.starts_with(':')) text.remove_prefix(1);
    const auto minutes = text.empty() ? std::optional(0) : take_digits(text, 2, "");
    if (!hours || !minutes) return std::nullopt;
    offset = sign * (*hours * 3600 + *minutes * 60);
  } else if (text.starts_with('Z') || text.starts_with('z')) {
    text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  std::tm utc{};
  utc.tm_year = *year - 1900;
  utc.tm_mon = *month - 1;
  utc.tm_mday = *day;
  utc.tm_hour = *hour;
  utc.tm_min = *minute;
  utc.tm_sec = *second;
  return timegm(&utc) - offset;
}

std::optional<milliseconds> read_one(std::string_view text, std::time_t now) {
  std::string_view rest = text;
  if (const auto number = take_number(rest); number && rest.empty())
    return wait_of(*number >= since_1970 ? *number - static_cast<double>(now) : *number);
  if (const auto seconds = read_duration(text)) return wait_of(*seconds);
  const auto date = read_http_date(text);
  return date ? wait_of(std::difftime(*date, now)) : std::nullopt;
}

}  // namespace

std::optional<std::time_t> read_http_date(std::string_view text) {
  text = trimmed(text);
  if (const auto date = read_iso_date(text)) return date;
  // curl_getdate also accepts a bare number or a bare time of day.
  if (text.find_first_of("abcdefghijklmnopqrstuvwxyz") == std::string_view::npos)
    return std::nullopt;
  const std::time_t date = curl_getdate(std::string(text).c_str(), nullptr);
  return date == -1 ? std::nullopt : std::optional(date);
}

std::optional<milliseconds> read_wait(std::string_view text, std::time_t now) {
  text = trimmed(text);
  if (text.empty()) return std::nullopt;
  if (const auto whole = read_one(text, now)) return whole;
  std::optional<milliseconds> longest_wait;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto item = read_one(trimmed(text.substr(0, comma)), now);
    if (!item) return std::nullopt;
    if (!longest_wait || *item > *longest_wait) longest_wait = item;
    text = trimmed(text.substr(std::min(comma + 1, text.size())));
  }
  return longest_wait;
}

}  // namespace sp2dpo::annotate
