// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace sp2dpo::annotate {

/// The JSON objects in a text, whatever surrounds them.
struct Objects {
  std::vector<std::string_view> whole;  ///< outermost objects with balanced brackets
  /// Position of an incomplete object whose first name is one of those searched for. The search
  /// stops there, since the rest of the text may belong to that object.
  std::optional<std::size_t> broken{};
};

/// Finds the objects in a text, in time linear in its length. Checks only their shape: they may
/// still be invalid JSON.
[[nodiscard]] Objects find_objects(std::string_view text,
                                   const std::vector<std::string_view>& names = {});

}  // namespace sp2dpo::annotate
