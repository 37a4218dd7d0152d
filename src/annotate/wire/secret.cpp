// SPDX-License-Identifier: Apache-2.0
#include "secret.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

/// Returns the length of `prefix` and the code of `c` in `digits` hex digits if `text` begins with
/// them, else 0.
std::size_t coded(std::string_view text, std::string_view prefix, std::size_t digits, char c) {
  const std::size_t size = prefix.size() + digits;
  if (text.size() < size || !text.starts_with(prefix)) return 0;
  unsigned code = 0;
  const char* const end = text.data() + size;
  const auto [last, error] = std::from_chars(text.data() + prefix.size(), end, code, 16);
  return last == end && error == std::errc() && code == static_cast<unsigned char>(c) ? size : 0;
}

/// Returns how many bytes at the beginning of `text` spell the key, each character as itself or
/// escaped as \/, \u002f or %2f. Empty if `text` does not begin with the key.
std::optional<std::size_t> matched(std::string_view text, std::string_view key) {
  if (key.empty()) return 0;
  if (text.empty()) return std::nullopt;
  const char c = key[0];
  // A % in the text is either part of the key or the start of an escape.
  const std::size_t itself = text[0] == c ? 1 : 0;
  const std::size_t escaped = text[0] == '\\' && text.size() > 1 && text[1] == c ? 2 : 0;
  for (const std::size_t size :
       {itself, escaped, coded(text, "\\u", 4, c), coded(text, "%", 2, c)}) {
    if (size == 0) continue;
    if (const auto rest = matched(text.substr(size), key.substr(1))) return size + *rest;
  }
  return std::nullopt;
}

/// True for a text that cannot be a key: keys mix letter cases, or are long and without a _.
bool is_plainly_a_name(std::string_view text) {
  constexpr std::size_t longest_word = 15;
  return std::ranges::none_of(text, [](char c) { return c >= 'a' && c <= 'z'; }) &&
         (text.size() <= longest_word || text.find('_') != std::string_view::npos);
}

}  // namespace

void require_variable_name(std::string_view text) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  constexpr std::string_view digits = "0123456789";
  const bool name = text.empty() || (letters.find(text.front()) != std::string_view::npos &&
                                     std::ranges::all_of(text, [&](char c) {
                                       return letters.find(c) != std::string_view::npos ||
                                              digits.find(c) != std::string_view::npos;
                                     }));
  // The text is not repeated: it may be the key.
  detail::require(name,
                  "key_variable: expected the name of an environment variable (letters, digits and "
                  "_), such as OPENAI_API_KEY; the key itself belongs into that variable");
}

Secret Secret::from_environment(const std::string& variable) {
  if (variable.empty()) return Secret();
  require_variable_name(variable);
  const char* const value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    detail::require(is_plainly_a_name(variable),
                    "key_variable: no environment variable has the name that it gives; expected "
                    "the name of a variable, such as OPENAI_API_KEY, not the key itself");
    throw InvalidArgument(
        fmt::format("the environment variable {} for the endpoint's key is not set", variable));
  }
  std::string key(value);
  detail::require(std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7f'; }),
                  "the key in the environment variable {} contains white space or a control "
                  "character, which an HTTP header cannot carry",
                  variable);
  return Secret(std::move(key));
}

void Secret::redact(std::string& text) const {
  if (key_.size() < min_bytes) return;
  const char first[] = {key_[0], '\\', '%'};
  const std::string_view starts(first, sizeof first), from(text);
  std::string made;
  std::size_t plain = 0;  // start of what is not copied yet
  for (std::size_t at = from.find_first_of(starts); at != std::string::npos;
       at = from.find_first_of(starts, at)) {
    const auto size = matched(from.substr(at), key_);
    if (!size) {
      ++at;
      continue;
    }
    made.append(from, plain, at - plain) += "[key]";
    at += *size;
    plain = at;
  }
  if (plain == 0) return;
  made.append(from, plain);
  text = std::move(made);
}

}  // namespace sp2dpo::annotate
