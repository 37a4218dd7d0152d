// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sp2dpo::io {

/// A JSON value, such as a parameter in a manifest. Constructors are implicit, so that parameters
/// read as `{{"envelope", Json::List{0.03, 0.3}}, {"min_prompts", 2}}`.
class Json {
 public:
  /// A JSON array.
  using List = std::vector<Json>;
  /// A JSON object, its keys sorted.
  using Object = std::map<std::string, Json, std::less<>>;
  /// Integers are unsigned only if they exceed the range of std::int64_t.
  using Value = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string,
                             List, Object>;

  Json() = default;                      ///< null
  Json(bool value) : value_(value) {}    // NOLINT(google-explicit-constructor), as those below
  Json(double value) : value_(value) {}  // NOLINT
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) Json(Integer value) {  // NOLINT
    if (std::in_range<std::int64_t>(value))
      value_ = static_cast<std::int64_t>(value);
    else
      value_ = static_cast<std::uint64_t>(value);
  }
  Json(std::string value) : value_(std::move(value)) {}       // NOLINT
  Json(std::string_view value) : Json(std::string(value)) {}  // NOLINT
  Json(const char* value) : Json(std::string(value)) {}       // NOLINT
  Json(List value) : value_(std::move(value)) {}              // NOLINT
  Json(Object value) : value_(std::move(value)) {}            // NOLINT

  /// The value as a variant.
  [[nodiscard]] const Value& value() const noexcept { return value_; }
  /// The list, or null for any other value.
  [[nodiscard]] const List* list() const noexcept { return std::get_if<List>(&value_); }
  /// The object, or null for any other value.
  [[nodiscard]] const Object* object() const noexcept { return std::get_if<Object>(&value_); }
  /// The number, integer or not; nullopt for any other value.
  [[nodiscard]] std::optional<double> number() const noexcept;
  /// The field of an object; null if this is no object or lacks the field.
  [[nodiscard]] const Json* find(std::string_view key) const;

  /// Canonical JSON: no spaces, keys sorted, shortest decimals. Throws InvalidArgument for a double
  /// that is not finite.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Json&, const Json&) = default;

 private:
  Value value_;
};

}  // namespace sp2dpo::io
