// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {

/// Signals input that breaks an assumption of toml++ 3.3.
struct BrokenToml {};
[[noreturn]] inline void break_off_toml() {
  throw BrokenToml();
}

}  // namespace sp2dpo::annotate

// toml++ would abort on such input or, without assertions, continue with wrong data.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? void() : ::sp2dpo::annotate::break_off_toml())
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace sp2dpo::annotate {

/// A table of a TOML file whose keys are read one by one. finish() reports the remaining keys as
/// unknown. Errors throw DataError with the line.
class TomlTable {
 public:
  TomlTable(const std::string& file, const toml::table& table, std::string path = {})
      : file_(file), table_(table), path_(std::move(path)) {}

  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] std::int64_t line() const { return line_of(table_); }
  [[nodiscard]] std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }

  /// Reads a key. Returns false, and keeps `to`, if it is missing.
  bool read(std::string_view key, std::string& to) { return get(key, to, "a string"); }
  bool read(std::string_view key, bool& to) { return get(key, to, "true or false"); }
  /// Reads an integer in [low, high].
  template <std::integral Number>
  bool read(std::string_view key, Number& to, std::int64_t low,
            std::int64_t high = std::numeric_limits<std::int32_t>::max()) {
    std::int64_t number = 0;
    if (!get(key, number, "an integer")) return false;
    if (number < low || number > high)
      fail(key, fmt::format("expected an integer in [{}, {}], got {}", low, high, number));
    to = static_cast<Number>(number);
    return true;
  }
  /// Reads a number in [low, high], written as an integer or not.
  bool read(std::string_view key, double& to, double low, double high) {
    const toml::node* const node = take(key);
    if (node == nullptr) return false;
    const auto number = node->is_number() ? node->value<double>() : std::nullopt;
    if (!number) fail(key, fmt::format("expected a number, got {}", kind_of(*node)));
    if (!(*number >= low && *number <= high))
      fail(key, fmt::format("expected a number in [{}, {}], got {}", low, high, *number));
    to = *number;
    return true;
  }

  /// Calls f(table) if the key exists.
  template <class F>
  void table(std::string_view key, F f) {
    const toml::node* const node = take(key);
    if (node == nullptr) return;
    if (!node->is_table()) fail(key, fmt::format("expected a table, got {}", kind_of(*node)));
    f(TomlTable(file_, *node->as_table(), path_of(key)));
  }
  /// Calls f(table) for each `[[key]]`. Returns their number.
  template <class F>
  int tables(std::string_view key, F f) {
    const toml::node* const node = take(key);
    if (node == nullptr) return 0;
    const toml::array* const list = node->as_array();
    if (list == nullptr) fail(key, fmt::format("expected [[{}]], got {}", key, kind_of(*node)));
    int count = 0;
    for (const toml::node& item : *list) {
      if (!item.is_table()) fail(key, fmt::format("expected [[{}]], got {}", key, kind_of(item)));
      f(TomlTable(file_, *item.as_table(), path_of(fmt::format("{}[{}]", key, count++))));
    }
    return count;
  }
  /// Calls f(text) for each item of a list of strings.
  template <class F>
  bool texts(std::string_view key, F f) {
    const toml::node* const node = take(key);
    if (node == nullptr) return false;
    const toml::array* const list = node->as_array();
    if (list == nullptr) fail(key, fmt::format("expected a list, got {}", kind_of(*node)));
    for (const toml::node& item : *list) {
      const auto text = item.is_string() ? item.value<std::string>() : std::nullopt;
      if (!text) fail(key, fmt::format("expected strings, got {}", kind_of(item)));
      f(*text);
    }
    return true;
  }
  /// Calls f(name, value) for all keys.
  template <class F>
  void each(F f) {
    for (const auto& [name, node] : table_) {
      used_.insert(std::string(name.str()));
      f(std::string(name.str()), node);
    }
  }

  /// Throws for a key that was not read.
  void finish() const {
    for (const auto& [name, node] : table_)
      if (!used_.contains(std::string(name.str()))) {
        std::string known;
        for (const auto& key : used_) known += (known.empty() ? "" : ", ") + key;
        throw DataError(file_, line_of(node), path_of(name.str()),
                        fmt::format("unknown key; expected one of: {}", known));
      }
  }

  /// Throws DataError with the line of the key, or of the table if the key is missing.
  [[noreturn]] void fail(std::string_view key, const std::string& message) const {
    const toml::node* const node = table_.get(key);
    throw DataError(file_, node == nullptr ? line() : line_of(*node), path_of(key), message);
  }

  [[nodiscard]] static std::string kind_of(const toml::node& node) {
    return fmt::format("a value of type {}", toml_name(node.type()));
  }

 private:
  static std::int64_t line_of(const toml::node& node) {
    return static_cast<std::int64_t>(node.source().begin.line);
  }
  static std::string_view toml_name(toml::node_type type) {
    switch (type) {
      case toml::node_type::string:
        return "string";
      case toml::node_type::integer:
        return "integer";
      case toml::node_type::floating_point:
        return "float";
      case toml::node_type::boolean:
        return "boolean";
      case toml::node_type::array:
        return "list";
      case toml::node_type::table:
        return "table";
      default:
        return "date or time";
    }
  }

  const toml::node* take(std::string_view key) {
    used_.insert(std::string(key));
    return table_.get(key);
  }
  template <class T>
  bool get(std::string_view key, T& to, std::string_view what) {
    const toml::node* const node = take(key);
    if (node == nullptr) return false;
    const auto value = node->value_exact<T>();
    if (!value) fail(key, fmt::format("expected {}, got {}", what, kind_of(*node)));
    to = *value;
    return true;
  }

  const std::string& file_;
  const toml::table& table_;
  std::string path_;
  std::set<std::string> used_;
};

}  // namespace sp2dpo::annotate
