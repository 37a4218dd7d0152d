// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace sp2dpo::annotate {

/// A document that a strict parser refuses, rewritten so that it parses.
struct RepairedJson {
  std::string text{};     ///< JSON in UTF-8; empty if the document is neither an object nor a list
  bool bad_utf8 = false;  ///< U+FFFD stands where bytes were not UTF-8
  bool bad_escape = false;  ///< U+FFFD stands for half of a surrogate pair or an unknown escape
  bool cut = false;         ///< it broke off; the open brackets are closed
  bool trailing = false;    ///< more text followed, which is left out

  /// True if a text in the document may differ from what its sender meant.
  [[nodiscard]] bool changed_text() const noexcept {
    return bad_utf8 || bad_escape || cut || trailing;
  }
};

/// Rewrites a document in time linear in its size. Without effect on texts, a byte order mark, a
/// NUL at the end, comment lines of an event stream in front, control characters in strings, NaN
/// and Infinity (null), numbers that are too large (a double, or null), and values nested deeper
/// than 500 (null) are repaired. The other repairs are reported.
[[nodiscard]] RepairedJson repair_json(std::string_view text);

/// Escapes the control characters inside the strings of a JSON text.
[[nodiscard]] std::string escape_controls(std::string_view json);

}  // namespace sp2dpo::annotate
