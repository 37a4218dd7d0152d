// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sp2dpo::annotate {

/// An object that begins like a verdict: its first name is one of those searched for, in any kind
/// of quotes and in any letter case.
struct VerdictLike {
  /// How far the text of the object can be trusted.
  enum class Shape : std::uint8_t {
    whole,   ///< balanced; it may still be invalid JSON
    nested,  ///< inside a whole object that does not begin like a verdict
    broken,  ///< it breaks off, or its brackets do not match
    loose    ///< broken, and its first name is not spelled as in JSON
  };
  Shape shape{};
  std::string_view text{};   ///< up to the end of the text searched if broken or loose
  std::string_view outer{};  ///< of `nested`: the object around it
};

/// The JSON objects in a text, whatever surrounds them.
struct Objects {
  std::vector<VerdictLike> verdicts;     ///< in order
  std::vector<std::string_view> others;  ///< outermost whole objects that begin otherwise
};

/// Finds the objects in a text, in time linear in its length. Checks only their shape.
[[nodiscard]] Objects find_objects(std::string_view text,
                                   const std::vector<std::string_view>& names = {});

}  // namespace sp2dpo::annotate
