// SPDX-License-Identifier: Apache-2.0
#include "schema.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "wire/error_body.hpp"
#include <fmt/format.h>

namespace sp2dpo::annotate {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

bool is_of_type(element value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  return value.is_number();
}

std::string find_violation(element value, element schema, const std::string& path) {
  const auto wrong = [&](std::string_view what) {
    return fmt::format("{}{}expected {}, got {}", path, path.empty() ? "" : ": ", what,
                       one_line(simdjson::minify(value)));
  };
  const std::string_view type = schema["type"].get_string().value();
  if (!is_of_type(value, type)) return wrong(fmt::format("a value of type {}", type));

  array choices;
  if (schema["enum"].get(choices) == simdjson::SUCCESS) {
    const std::string_view text = value.get_string().value();
    if (std::ranges::none_of(choices, [&](element choice) { return choice.get_string() == text; }))
      return wrong(fmt::format("one of {}", simdjson::minify(choices)));
  }
  element items;
  if (type == "array" && schema["items"].get(items) == simdjson::SUCCESS) {
    std::size_t index = 0;
    const array list = value;
    for (const element item : list)
      if (auto inside = find_violation(item, items, fmt::format("{}[{}]", path, index++));
          !inside.empty())
        return inside;
  }
  if (type != "object") return {};

  const auto at = [&](std::string_view key) {
    return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
  };
  const object properties = schema["properties"];
  const object fields = value;
  std::vector<std::string_view> keys;
  for (const auto [key, field] : fields) {
    element property;
    if (properties.at_key(key).get(property) != simdjson::SUCCESS)
      return fmt::format("the field \"{}\" is not in the schema", one_line(at(key)));
    if (std::ranges::find(keys, key) != keys.end())
      return fmt::format("duplicate field \"{}\"", one_line(at(key)));
    keys.push_back(key);
    if (auto inside = find_violation(field, property, at(key)); !inside.empty()) return inside;
  }
  for (const auto [key, property] : properties)
    if (std::ranges::find(keys, key) == keys.end())
      return fmt::format("the field \"{}\" is missing", at(key));
  return {};
}

}  // namespace

void check_schema(const text::Field& schema) {
  std::string type;
  std::vector<std::string> properties, required;
  bool closed = false, has_properties = false, has_items = false, has_enum = false;
  schema.each([&](const text::Field& word) {
    if (word.key() == "type") {
      type = word.text();
      constexpr std::string_view known[] = {"object",  "array",   "string",
                                            "boolean", "integer", "number"};
      if (std::ranges::find(known, type) == std::end(known))
        word.fail("expected object, array, string, boolean, integer or number, got " + type);
    } else if (word.key() == "properties") {
      has_properties = true;
      word.each([&](const text::Field& property) {
        properties.emplace_back(property.key());
        check_schema(property);
      });
    } else if (word.key() == "required") {
      word.each_item([&](const text::Field& item) { required.emplace_back(item.text()); });
    } else if (word.key() == "additionalProperties") {
      if (word.json() != "false") word.fail("expected false, got " + word.json());
      closed = true;
    } else if (word.key() == "items") {
      has_items = true;
      check_schema(word);
    } else if (word.key() == "enum") {
      has_enum = true;
      word.each_item([](const text::Field& item) { static_cast<void>(item.text()); });
    } else if (word.key() != "description") {
      word.fail("unsupported keyword of JSON Schema");
    }
  });
  if (type.empty()) schema.fail("type", "is missing");
  if (has_enum && type != "string") schema.fail("enum", "applies to strings only");
  if (has_items != (type == "array"))
    schema.fail("items", "is required for an array and invalid elsewhere");
  if (has_properties != (type == "object"))
    schema.fail("properties", "is required for an object and invalid elsewhere");
  if (type != "object") return;
  if (!closed) schema.fail("additionalProperties", "is missing; it must be false");
  std::ranges::sort(properties);
  std::ranges::sort(required);
  if (properties != required) schema.fail("required", "must list all properties");
}

std::string violation(element value, element schema) {
  return find_violation(value, schema, "");
}

}  // namespace sp2dpo::annotate
