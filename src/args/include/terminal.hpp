// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace sp2dpo::args {

/// How a word stands out on a terminal.
enum class Emphasis : std::uint8_t { error, warning, success };

/// Returns the text in bold and in red, yellow or green if `stream` is a terminal that shows
/// colours; unchanged elsewhere, and if the environment variable NO_COLOR is not empty.
[[nodiscard]] std::string emphasized(std::string_view text, Emphasis emphasis, std::FILE* stream);

/// Ends what is printed to `stdout`. An output file that is standard output is still written.
/// Errors and warnings are printed to stderr in any case; progress asks is_quiet().
void be_quiet();

/// True after be_quiet().
[[nodiscard]] bool is_quiet();

}  // namespace sp2dpo::args
