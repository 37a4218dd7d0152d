// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace sp2dpo::annotate {

/// Returns the text without the white space at its ends.
inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view spaces = " \t\r\n";
  const auto begin = text.find_first_not_of(spaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

}  // namespace sp2dpo::annotate
