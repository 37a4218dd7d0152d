// SPDX-License-Identifier: Apache-2.0
#include "secret.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

/// How many bytes at the begin of `text` stand for the character `c`: itself, \/, \u002f or %2f.
/// 0 = they stand for another one.
std::size_t stands_for(std::string_view text, char c) {
  const auto coded = [&](std::string_view prefix, std::size_t digits) -> std::size_t {
    const std::size_t size = prefix.size() + digits;
    if (text.size() < size || !text.starts_with(prefix)) return 0;
    unsigned code = 0;
    const char* const end = text.data() + size;
    const auto [last, error] = std::from_chars(text.data() + prefix.size(), end, code, 16);
    return last == end && error == std::errc() && code == static_cast<unsigned char>(c) ? size : 0;
  };
  if (text.empty()) return 0;
  if (text[0] == c) return 1;
  if (text.size() > 1 && text[0] == '\\' && text[1] == c) return 2;
  return text[0] == '\\' ? coded("\\u", 4) : text[0] == '%' ? coded("%", 2) : 0;
}

std::size_t matched(std::string_view text, std::string_view key) {
  std::size_t at = 0;
  for (const char c : key) {
    const std::size_t size = stands_for(text.substr(at), c);
    if (size == 0) return 0;
    at += size;
  }
  return at;
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
    if (const std::size_t size = matched(std::string_view(text).substr(at), key_); size > 0)
      text.replace(at, size, "[key]");
  }
}

}  // namespace sp2dpo::annotate
