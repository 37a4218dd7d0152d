// SPDX-License-Identifier: Apache-2.0
#include "secret.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <utility>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

/// How many bytes at the begin of `text` are `prefix` and the code of `c` in so many hex digits, or
/// 0.
std::size_t coded(std::string_view text, std::string_view prefix, std::size_t digits, char c) {
  const std::size_t size = prefix.size() + digits;
  if (text.size() < size || !text.starts_with(prefix)) return 0;
  unsigned code = 0;
  const char* const end = text.data() + size;
  const auto [last, error] = std::from_chars(text.data() + prefix.size(), end, code, 16);
  return last == end && error == std::errc() && code == static_cast<unsigned char>(c) ? size : 0;
}

/// How many bytes at the begin of `text` are the key, each of its characters as itself or as \/,
/// \u002f or %2f. Nothing where they are not.
std::optional<std::size_t> matched(std::string_view text, std::string_view key) {
  if (key.empty()) return 0;
  if (text.empty()) return std::nullopt;
  const char c = key[0];
  // A % in the text is a character of the key, or begins the code of one.
  const std::size_t itself = text[0] == c ? 1 : 0;
  const std::size_t escaped = text[0] == '\\' && text.size() > 1 && text[1] == c ? 2 : 0;
  for (const std::size_t size :
       {itself, escaped, coded(text, "\\u", 4, c), coded(text, "%", 2, c)}) {
    if (size == 0) continue;
    if (const auto rest = matched(text.substr(size), key.substr(1))) return size + *rest;
  }
  return std::nullopt;
}

}  // namespace

Secret Secret::from_environment(const std::string& variable) {
  if (variable.empty()) return Secret();
  const char* const value = std::getenv(variable.c_str());
  detail::require(value != nullptr && *value != '\0',
                  "the environment variable {}, which should hold the endpoint's key, is not set",
                  variable);
  std::string key(value);
  detail::require(std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7f'; }),
                  "the key in the environment variable {} has white space or a control character "
                  "in it, which no HTTP header can carry",
                  variable);
  return Secret(std::move(key));
}

void Secret::blot_out(std::string& text) const {
  if (key_.size() < shortest) return;
  const char first[] = {key_[0], '\\', '%'};
  const std::string_view starts(first, sizeof first);
  for (std::size_t at = text.find_first_of(starts); at != std::string::npos;
       at = text.find_first_of(starts, at + 1)) {
    if (const auto size = matched(std::string_view(text).substr(at), key_))
      text.replace(at, *size, "[key]");
  }
}

}  // namespace sp2dpo::annotate
