// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace sp2dpo::annotate {

/// The JSON objects in a text that has anything around them.
struct Objects {
  std::vector<std::string_view> whole;  ///< that begin in no other one; by their braces and commas
  /// Where an object begins with one of the names that were looked for, and breaks. What stands
  /// behind may be a part of it, so nothing is looked for there.
  std::optional<std::size_t> broken{};
};

/// Time is linear in the text's length, whatever it is. What is found may still not be JSON: only
/// its shape was looked at.
[[nodiscard]] Objects find_objects(std::string_view text,
                                   const std::vector<std::string_view>& names = {});

}  // namespace sp2dpo::annotate
