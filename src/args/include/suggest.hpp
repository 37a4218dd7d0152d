// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sp2dpo::args {

/// Returns the name that `word` most likely misspells: the one at the smallest edit distance, which
/// counts insertions, deletions, substitutions and swaps of neighbours, or the only one that begins
/// with `word` or that `word` begins with. Empty if more than a third of the letters differ.
[[nodiscard]] std::string_view closest(std::string_view word, std::span<const std::string> names);

/// Returns "; did you mean NAME?" for the closest name, or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> names);

}  // namespace sp2dpo::args
