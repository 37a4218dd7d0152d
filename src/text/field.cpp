// SPDX-License-Identifier: Apache-2.0

#include "text/field.hpp"

#include <algorithm>
#include <utility>

#include "text/json_writer.hpp"

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::text {

namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

std::string shortened(std::string text) {
  constexpr std::size_t longest = 60;
  if (text.size() <= longest) return text;
  std::size_t end = longest;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
    --end;  // do not cut a UTF-8 character
  text.resize(end);
  return text + "…";
}

}  // namespace

std::string Field::path() const {
  if (parent_ == nullptr) return "";
  std::string path = parent_->path();
  if (index_ >= 0) return path + "[" + std::to_string(index_) + "]";
  if (!path.empty()) path += '.';
  return path.append(key_);
}

void Field::fail(const std::string& message) const {
  throw DataError(*file_, line_, path(), message);
}

void Field::fail(std::string_view field, const std::string& message) const {
  Field(*this, field, value_).fail(message);
}

void Field::expected(std::string_view what) const {
  fail(fmt::format("expected {}, not {}", what, shortened(simdjson::minify(value_))));
}

std::string_view Field::text() const {
  std::string_view text;
  if (value_.get(text) != simdjson::SUCCESS) expected("a string");
  return text;
}

std::string_view Field::name() const {
  const auto name = text();
  if (name.empty()) expected("a name");
  return name;
}

double Field::number(double low, double high) const {
  double number{};
  if (!value_.is_number() || value_.get(number) != simdjson::SUCCESS) expected("a number");
  if (!(number >= low && number <= high)) expected(fmt::format("a number in [{}, {}]", low, high));
  return number;
}

std::int64_t Field::integer(std::int64_t low, std::int64_t high) const {
  std::int64_t number{};
  if (value_.get(number) != simdjson::SUCCESS) expected("an integer");
  if (number < low || number > high) expected(fmt::format("an integer in [{}, {}]", low, high));
  return number;
}

void Field::id(std::string& to) const {
  if (value_.is_int64() || value_.is_uint64()) {
    to = simdjson::minify(value_);
    return;
  }
  if (!value_.is_string() || name().empty()) expected("a string or an integer");
  to.assign(name());
}

bool Field::is_repeated(std::string_view key, simdjson::dom::object object) {
  return std::count_if(object.begin(), object.end(),
                       [&](const auto& field) { return field.key == key; }) > 1;
}

simdjson::dom::object Field::fields() const {
  simdjson::dom::object object;
  if (value_.get(object) != simdjson::SUCCESS) expected("an object");
  return object;
}

simdjson::dom::array Field::items() const {
  simdjson::dom::array array;
  if (value_.get(array) != simdjson::SUCCESS) expected("a list");
  return array;
}

void Field::append_to(std::string& to) const {
  switch (value_.type()) {
    case element_type::OBJECT: {
      std::vector<Field> sorted;
      each([&](const Field& field) { sorted.push_back(field); });
      std::sort(sorted.begin(), sorted.end(),
                [](const Field& a, const Field& b) { return a.key_ < b.key_; });
      JsonWriter json(to);
      json.open('{');
      for (const Field& field : sorted) {
        json.key(field.key_);
        field.append_to(to);
      }
      json.close('}');
      return;
    }
    case element_type::ARRAY: {
      JsonWriter json(to);
      json.open('[');
      each_item([&](const Field& item) {
        json.item();
        item.append_to(to);
      });
      json.close(']');
      return;
    }
    case element_type::STRING:
      append_json(to, text());
      return;
    case element_type::DOUBLE:
      append_json(to, double(value_));
      return;
    default:
      to += simdjson::minify(value_);
  }
}

std::string Field::json() const {
  std::string text;
  append_to(text);
  return text;
}

void Field::check() const {
  if (value_.is_object()) each([](const Field& field) { field.check(); });
  if (value_.is_array()) each_item([](const Field& item) { item.check(); });
}

std::string canonical_json(std::string_view text) {
  simdjson::dom::parser parser;
  element value;
  const auto error = parser.parse(text.data(), text.size()).get(value);
  detail::require(!error, "\"{}\" is not JSON: {}", shortened(std::string(text)),
                  simdjson::error_message(error));
  try {
    static const std::string nowhere;
    return Field(nowhere, 0, value).json();
  } catch (const DataError& inside) {
    throw InvalidArgument(fmt::format("\"{}\"{}", shortened(std::string(text)), inside.what()));
  }
}

}  // namespace sp2dpo::text
