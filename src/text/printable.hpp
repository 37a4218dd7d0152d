// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace sp2dpo::text {

/// Returns a text without what could steer a terminal: control characters (C0 except line feed and
/// tab, DEL, C1) and marks that change the direction of writing become spaces, and bytes that are
/// not UTF-8 become question marks.
[[nodiscard]] std::string printable(std::string_view text);

/// Returns the beginning of a foreign text, at most 300 bytes, as one printable line.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace sp2dpo::text
