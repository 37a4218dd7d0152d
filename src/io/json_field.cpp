// SPDX-License-Identifier: Apache-2.0
#include "json_field.hpp"

#include <cstdint>

namespace sp2dpo::io {

Json json_of(const text::Field& field) {
  const auto element = field.element();
  using Type = simdjson::dom::element_type;
  switch (element.type()) {
    case Type::OBJECT: {
      Json::Object object;
      field.each([&](const text::Field& inner) { object.emplace(inner.key(), json_of(inner)); });
      return object;
    }
    case Type::ARRAY: {
      Json::List list;
      field.each_item([&](const text::Field& item) { list.push_back(json_of(item)); });
      return list;
    }
    case Type::STRING:
      return field.text();
    case Type::DOUBLE:
      return double(element);
    case Type::INT64:
      return std::int64_t(element);
    case Type::UINT64:
      return std::uint64_t(element);
    case Type::BOOL:
      return bool(element);
    default:
      return {};
  }
}

}  // namespace sp2dpo::io
