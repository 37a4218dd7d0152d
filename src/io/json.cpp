// SPDX-License-Identifier: Apache-2.0
#include <type_traits>

#include "text/json_writer.hpp"

#include <sp2dpo/io/json.hpp>

namespace sp2dpo::io {

namespace {

void append(std::string& to, const Json& json);

void append_list(std::string& to, const Json::List& list) {
  text::JsonWriter json(to);
  json.open('[');
  for (const auto& item : list) {
    json.item();
    append(to, item);
  }
  json.close(']');
}

void append_object(std::string& to, const Json::Object& object) {
  text::JsonWriter json(to);
  json.open('{');
  for (const auto& [key, value] : object) {
    json.key(std::string_view(key));
    append(to, value);
  }
  json.close('}');
}

void append(std::string& to, const Json& json) {
  std::visit(
      [&](const auto& value) {
        using Type = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Type, std::nullptr_t>)
          to += "null";
        else if constexpr (std::is_same_v<Type, bool>)
          to += value ? "true" : "false";
        else if constexpr (std::is_integral_v<Type>)
          to += std::to_string(value);
        else if constexpr (std::is_same_v<Type, Json::List>)
          append_list(to, value);
        else if constexpr (std::is_same_v<Type, Json::Object>)
          append_object(to, value);
        else
          text::append_json(to, value);
      },
      json.value());
}

}  // namespace

std::optional<double> Json::number() const noexcept {
  if (const auto* number = std::get_if<double>(&value_)) return *number;
  if (const auto* integer = std::get_if<std::int64_t>(&value_))
    return static_cast<double>(*integer);
  if (const auto* integer = std::get_if<std::uint64_t>(&value_))
    return static_cast<double>(*integer);
  return std::nullopt;
}

const Json* Json::find(std::string_view key) const {
  if (object() == nullptr) return nullptr;
  const auto found = object()->find(key);
  return found == object()->end() ? nullptr : &found->second;
}

std::string Json::text() const {
  std::string text;
  append(text, *this);
  return text;
}

}  // namespace sp2dpo::io
