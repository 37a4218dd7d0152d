// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

namespace sp2dpo::text {

/// Finds duplicate keys of small objects without allocating.
class Keys {
 public:
  /// Inserts the key. Returns true if it was inserted before. Must not be called when full().
  bool has(std::string_view key) {
    const auto first = key.empty() ? 0U : static_cast<unsigned char>(key.front());
    const auto bit = std::uint64_t{1} << (8 * key.size() + first) % 64;
    const bool found =
        (seen_ & bit) != 0 && std::any_of(keys_.begin(), keys_.begin() + n_, [&](const Key& other) {
          return std::string_view(other.text, other.size) == key;
        });
    seen_ |= bit;
    keys_[n_++] = {key.data(), key.size()};
    return found;
  }
  [[nodiscard]] bool full() const noexcept { return n_ == keys_.size(); }

 private:
  struct Key {  // not string_view, whose constructor would clear all 32 for every row
    const char* text;
    std::size_t size;
  };
  std::array<Key, 32> keys_;
  std::size_t n_ = 0;
  std::uint64_t seen_ = 0;  // one bit by length and first letter, so that few keys are compared
};

/// A JSON value that knows its place in its file for messages: `pairs.jsonl:7: field
/// "chosen[0].content": expected a string, not 3`.
class Field {
 public:
  /// The whole row.
  Field(const std::string& file, std::int64_t line, simdjson::dom::element value)
      : file_(&file), line_(line), value_(value) {}

  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  [[nodiscard]] std::string path() const;
  [[noreturn]] void fail(const std::string& message) const;
  /// Overload about a field of this object.
  [[noreturn]] void fail(std::string_view field, const std::string& message) const;

  /// The parsed value, valid as long as the row.
  [[nodiscard]] simdjson::dom::element element() const noexcept { return value_; }

  [[nodiscard]] bool is_text() const { return value_.is_string(); }
  [[nodiscard]] bool is_list() const { return value_.is_array(); }
  [[nodiscard]] bool is_null() const { return value_.is_null(); }

  /// These throw DataError if the value has another type or is out of range.
  [[nodiscard]] std::string_view text() const;
  [[nodiscard]] std::string_view name() const;  ///< text, not empty
  [[nodiscard]] double number(double low, double high) const;
  [[nodiscard]] std::int64_t integer(std::int64_t low, std::int64_t high) const;
  /// Assigns an id: non-empty text, or an integer as decimal text.
  void id(std::string& to) const;

  /// Calls f(field) for each field of an object. Throws for a duplicate key.
  template <class F>
  void each(F f) const {
    const auto object = fields();
    Keys keys;
    for (const auto [key, value] : object) {
      if (keys.full() ? is_repeated(key, object) : keys.has(key)) fail(key, "duplicate key");
      f(Field(*this, key, value));
    }
  }
  /// Calls f(item) for each item of a list.
  template <class F>
  void each_item(F f) const {
    std::int64_t index = 0;
    for (const auto item : items()) f(Field(*this, index++, item));
  }

  /// Appends the value as canonical JSON to `to`. Throws for a duplicate key at any depth.
  void append_to(std::string& to) const;
  [[nodiscard]] std::string json() const;
  /// Throws for a duplicate key at any depth.
  void check() const;

 private:
  Field(const Field& parent, std::string_view key, simdjson::dom::element value)
      : file_(parent.file_), line_(parent.line_), value_(value), parent_(&parent), key_(key) {}
  Field(const Field& parent, std::int64_t index, simdjson::dom::element value)
      : file_(parent.file_), line_(parent.line_), value_(value), parent_(&parent), index_(index) {}

  [[noreturn]] void expected(std::string_view what) const;
  /// True if the object has that key more than once.
  static bool is_repeated(std::string_view key, simdjson::dom::object object);
  [[nodiscard]] simdjson::dom::object fields() const;
  [[nodiscard]] simdjson::dom::array items() const;

  const std::string* file_;
  std::int64_t line_;
  simdjson::dom::element value_;
  const Field* parent_ = nullptr;
  std::string_view key_{};
  std::int64_t index_ = -1;
};

/// Rewrites JSON text canonically. Throws InvalidArgument if `text` is not JSON.
[[nodiscard]] std::string canonical_json(std::string_view text);

}  // namespace sp2dpo::text
