// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo {

/// The names of an enum's values in files and options, in the order of the values, which count from
/// 0. Specialize it beside the enum:
///
///     enum class Side { left, right };
///     template <>
///     inline constexpr std::array<std::string_view, 2> enum_names<Side>{"left", "right"};
template <class Enum>
inline constexpr std::array<std::string_view, 0> enum_names{};

template <class Enum>
concept NamedEnum = std::is_enum_v<Enum> && !enum_names<Enum>.empty();

/// The name of a value.
template <NamedEnum Enum>
[[nodiscard]] constexpr std::string_view name(Enum value) {
  return enum_names<Enum>[static_cast<std::size_t>(value)];
}

/// The value with that name; nullopt for any other text.
template <NamedEnum Enum>
[[nodiscard]] constexpr std::optional<Enum> find_enum(std::string_view text) {
  for (std::size_t i = 0; i < enum_names<Enum>.size(); ++i)
    if (enum_names<Enum>[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}

/// `expected chosen, rejected or tie, not "text"`: the message about a text that names no value.
template <NamedEnum Enum>
[[nodiscard]] std::string expected_name(std::string_view text) {
  constexpr auto& names = enum_names<Enum>;
  std::string message = "expected ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) message += i + 1 < names.size() ? ", " : " or ";
    message += names[i];
  }
  return ((message += ", not \"") += text) + '"';
}

/// The value with that name. Throws InvalidArgument listing the names for any other text.
template <NamedEnum Enum>
[[nodiscard]] Enum parse(std::string_view text) {
  const auto found = find_enum<Enum>(text);
  if (!found) throw InvalidArgument(expected_name<Enum>(text));
  return *found;
}

}  // namespace sp2dpo
