// SPDX-License-Identifier: Apache-2.0
#include "json_rows.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <utility>

#include "json_text.hpp"

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::io {

namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

std::string shortened(std::string text) {
  constexpr std::size_t longest = 60;
  if (text.size() <= longest) return text;
  std::size_t end = longest;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // not inside a character
  text.resize(end);
  return text + "…";
}

/// Whether a string, escapes and all, has half a surrogate pair: `\ud83d` and no `\ude42` after it.
bool has_lone_surrogate(std::string_view raw) {
  bool open = false;  // the first half has just gone by
  for (std::size_t i = 0; i < raw.size();) {
    unsigned unit = 0;
    if (raw.substr(i).starts_with("\\u") && i + 6 <= raw.size()) {
      std::from_chars(raw.data() + i + 2, raw.data() + i + 6, unit, 16);
      i += 6;
    } else {
      i += raw[i] == '\\' ? 2 : 1;
    }
    const bool second = unit >= 0xDC00 && unit <= 0xDFFF;
    if (open != second) return true;
    open = unit >= 0xD800 && unit <= 0xDBFF;
  }
  return open;
}

struct Trouble {
  std::string_view field;
  const char* message;
};

/// What the parser has no words for, or no field: what Python's json module writes and JSON lacks.
std::optional<Trouble> find_trouble(std::string_view line) {
  std::string_view field;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto rest = line.substr(i);
    if (rest.starts_with("NaN") || rest.starts_with("Infinity"))
      return Trouble{field, "NaN and Infinity are no JSON numbers"};
    if (line[i] != '"') continue;
    const std::size_t start = ++i;
    while (i < line.size() && line[i] != '"') i += line[i] == '\\' ? 2 : 1;
    if (i >= line.size()) break;
    const auto text = line.substr(start, i - start);
    const std::size_t after = line.find_first_not_of(" \t", i + 1);
    const bool is_key = after != std::string_view::npos && line[after] == ':';
    if (has_lone_surrogate(text))
      return Trouble{is_key ? "" : field, "half of a surrogate pair stands alone"};
    if (is_key) field = text;
  }
  return std::nullopt;
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

namespace {

[[noreturn]] void refuse(const std::string& file, std::int64_t line, std::string_view text,
                         simdjson::error_code error) {
  if (line == 1 && text.starts_with("\x1F\x8B"))
    throw DataError(file, line, "", "is gzip data; a name that ends in .gz would say so");
  if (line == 1 && text.starts_with("PAR1"))
    throw DataError(file, line, "", "is a Parquet file; sp2dpo::parquet has a source of its rows");
  if (error == simdjson::UTF8_ERROR) throw DataError(file, line, "", "a byte that is not UTF-8");
  if (const auto trouble = find_trouble(text))
    throw DataError(file, line, std::string(trouble->field), trouble->message);
  throw DataError(file, line, "",
                  fmt::format("not a JSON object: {}", simdjson::error_message(error)));
}

}  // namespace

Field RowParser::operator()(const std::string& file, std::int64_t line, std::string_view text) {
  static_assert(RowSource::padding >= simdjson::SIMDJSON_PADDING);
  if (line == 1 && text.starts_with("\xEF\xBB\xBF"))
    throw DataError(file, 1, "", "begins with a byte order mark; save it as plain UTF-8");
  // By powers of two, or every line that is a little longer than the ones before would allocate.
  if (text.size() > parser_.capacity())
    if (const auto error = parser_.allocate(std::bit_ceil(text.size())))
      refuse(file, line, text, error);
  element value;
  if (const auto error = parser_.parse(text.data(), text.size(), false).get(value))
    refuse(file, line, text, error);
  return Field(file, line, value);
}

JsonRows::JsonRows(std::unique_ptr<RowSource> source) : source_(std::move(source)) {
  detail::require(source_ != nullptr, "there is no source of rows");
}

bool JsonRows::next() {
  while (source_->next(text_))
    if (!is_blank_row(text_)) return true;
  return false;
}

Field JsonRows::row() {
  return parser_(source_->name(), source_->line(), text_);
}

std::string_view JsonRows::text() const {
  constexpr std::string_view blank = " \t\r";
  const auto begin = text_.find_first_not_of(blank);
  return text_.substr(begin, text_.find_last_not_of(blank) - begin + 1);
}

}  // namespace sp2dpo::io
