// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "json_rows.hpp"
#include <simdjson.h>

namespace sp2dpo::io {

/// Signals that the fast path cannot take this row.
struct NotPlain {};

/// Unwraps a simdjson result; throws NotPlain on error.
template <class Value>
Value plain(simdjson::simdjson_result<Value> result) {
  if (result.error() != simdjson::SUCCESS) throw NotPlain();
  return std::move(result).value_unsafe();
}

/// The text; throws NotPlain if it has escapes.
inline std::string_view plain(simdjson::ondemand::raw_json_string text) {
  // Eight bytes at a time: simdjson's own functions take longer for such short texts.
  static_assert(std::endian::native == std::endian::little);
  const auto places_of = [](std::uint64_t bytes, char wanted) {
    constexpr std::uint64_t ones = 0x0101010101010101;
    const std::uint64_t zero = bytes ^ (ones * static_cast<unsigned char>(wanted));
    return (zero - ones) & ~zero &
           (ones << 7);  // the lowest bit is exact, higher ones may be false
  };
  const char* const begin = text.raw();
  for (const char* at = begin;; at += 8) {
    std::uint64_t bytes;
    std::memcpy(&bytes, at, sizeof bytes);
    const auto quotes = places_of(bytes, '"'), escapes = places_of(bytes, '\\');
    if ((quotes | escapes) == 0) continue;
    const auto end = std::countr_zero(quotes | escapes);
    if (std::countr_zero(escapes) == end) throw NotPlain();
    return {begin, static_cast<std::size_t>(at + end / 8 - begin)};
  }
}

/// A text or number of a row, to be read once: twice as fast as Field. Throws NotPlain for anything
/// else, so that Field parses the row again and reports the error.
class PlainField {
 public:
  PlainField(std::string_view key, simdjson::ondemand::value value) : key_(key), value_(value) {}

  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  [[noreturn]] void fail(const std::string&) const { throw NotPlain(); }

  [[nodiscard]] std::string_view text() const { return plain(plain(value_.get_raw_json_string())); }
  [[nodiscard]] std::string_view name() const {
    const auto name = text();
    if (name.empty()) throw NotPlain();
    return name;
  }
  [[nodiscard]] double number(double low, double high) const {
    return within(plain(value_.get_double()), low, high);
  }
  [[nodiscard]] std::int64_t integer(std::int64_t low, std::int64_t high) const {
    return within(plain(value_.get_int64()), low, high);
  }
  void id(std::string& to) const { to.assign(name()); }

  void append_to(std::string&) const { throw NotPlain(); }
  void check() const { throw NotPlain(); }

 private:
  template <class Number>
  static Number within(Number number, Number low, Number high) {
    if (!(number >= low && number <= high)) throw NotPlain();
    return number;
  }

  std::string_view key_;
  mutable simdjson::ondemand::value value_;
};

class PlainRow {
 public:
  /// Requires RowSource::padding readable bytes after `text`. The row uses the parser exclusively.
  PlainRow(simdjson::ondemand::parser& parser, std::string_view text)
      : parser_(parser), text_(text) {}

  /// Calls f(field) for each field; f must read its value.
  template <class F>
  void each(F f) const {
    auto document =
        plain(parser_.iterate(text_.data(), text_.size(), text_.size() + RowSource::padding));
    text::Keys keys;
    for (auto field : plain(document.get_object())) {
      const auto key = plain(plain(field.key()));
      if (keys.full() || keys.has(key)) throw NotPlain();
      f(PlainField(key, plain(field.value())));
    }
    // Nothing may follow the object.
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) throw NotPlain();
  }

  [[noreturn]] void fail(std::string_view, const std::string&) const { throw NotPlain(); }

 private:
  simdjson::ondemand::parser& parser_;
  std::string_view text_;
};

}  // namespace sp2dpo::io
