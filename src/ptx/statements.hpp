// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// PTX as text: its statements, words, numbers and types.
namespace sp2dpo::ptx {

using Words = std::vector<std::string>;

inline constexpr std::string_view blanks = " \t\r\n";

/// Throws std::runtime_error: "PTX: what: text".
[[noreturn]] void refuse(const std::string& what, std::string_view text);

std::string trimmed(std::string_view text);

/// Splits at every `separator` outside of brackets. The parts are trimmed.
Words split(std::string_view text, char separator);

std::string without_comments(std::string_view text);

std::uint32_t lines_in(std::string_view text);

/// True for the directive .loc.
bool is_location(std::string_view text);

/// Calls f with each statement of a body, up to its closing brace, and with the statement's line;
/// the body begins on `line`. A label is a statement that ends in a colon. The braces of inner
/// scopes are dropped, since each scope declares its names again.
void for_each_statement(
    std::string_view body, std::uint32_t line,
    const std::function<void(const std::string& statement, std::uint32_t line)>& f);

/// The size of a type such as `b32` or `.f64`.
std::uint32_t bytes_of(std::string_view type);

/// Parses an integer, or the bits of a float after 0f or 0d.
std::uint64_t number(const std::string& text);

}  // namespace sp2dpo::ptx
