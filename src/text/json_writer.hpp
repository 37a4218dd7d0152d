// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sp2dpo/schedule/pair.hpp>

namespace sp2dpo::text {

/// Append canonical JSON: no spaces, the fewest escapes, the shortest decimals that read back as
/// the same double (with a `.0` if they would look like an integer). Throws InvalidArgument for a
/// number that is not finite.
void append_json(std::string& to, std::string_view text);
void append_json(std::string& to, double number);

/// Throws InvalidArgument unless `written` is UTF-8.
void require_utf8(std::string_view written);

/// Appends objects and lists to a string and places commas and colons. The caller sorts the keys.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& to) : to_(to) {}

  /// Appends `{` or `[`; close() appends the closing bracket.
  void open(char bracket) {
    to_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    to_ += bracket;
    first_ = false;
  }
  JsonWriter& key(std::string_view name) {
    item();
    append_json(to_, name);
    to_ += ':';
    return *this;
  }
  /// Overload for literals, which need no escapes.
  template <std::size_t size>
  JsonWriter& key(const char (&name)[size]) {
    item();
    ((to_ += '"').append(name, size - 1)) += "\":";
    return *this;
  }
  JsonWriter& item() {
    if (!first_) to_ += ',';
    first_ = false;
    return *this;
  }
  void text(std::string_view value) { append_json(to_, value); }
  void number(double value) { append_json(to_, value); }
  void integer(std::int64_t value) { to_ += std::to_string(value); }
  /// Appends JSON text that is already canonical.
  void raw(std::string_view json) { to_ += json; }

 private:
  std::string& to_;
  bool first_ = true;
};

/// Appends a string, or a list of messages with their keys `content` and `role`.
void append(JsonWriter& json, const Text& text);

}  // namespace sp2dpo::text
