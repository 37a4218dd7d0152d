// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace sp2dpo::text {

/// `1 row`, `2 rows`. `noun` takes an s in the plural.
template <std::integral Integer>
[[nodiscard]] std::string counted(Integer n, std::string_view noun) {
  auto text = std::to_string(n);
  (text += ' ') += noun;
  if (n != 1) text += 's';
  return text;
}

}  // namespace sp2dpo::text
