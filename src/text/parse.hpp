// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace sp2dpo::text {

/// The number that `text` spells from its first to its last character; nullopt for any other text
/// and for numbers that T cannot hold. Doubles may be infinite or NaN.
template <class T>
[[nodiscard]] std::optional<T> parse_whole(std::string_view text) {
  T number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

}  // namespace sp2dpo::text
