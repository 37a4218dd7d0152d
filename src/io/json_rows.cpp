// SPDX-License-Identifier: Apache-2.0
#include "json_rows.hpp"

#include <bit>
#include <charconv>
#include <optional>
#include <utility>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::io {

namespace {

/// True if an escaped string has a lone surrogate: `\ud83d` without `\ude42` after it.
bool has_lone_surrogate(std::string_view raw) {
  bool open = false;  // the last unit was a high surrogate
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

/// Finds what Python's json module writes and JSON lacks, for which the parser names no field.
std::optional<Trouble> find_trouble(std::string_view line) {
  std::string_view field;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto rest = line.substr(i);
    if (rest.starts_with("NaN") || rest.starts_with("Infinity"))
      return Trouble{field, "NaN and Infinity are not valid JSON"};
    if (line[i] != '"') continue;
    const std::size_t start = ++i;
    while (i < line.size() && line[i] != '"') i += line[i] == '\\' ? 2 : 1;
    if (i >= line.size()) break;
    const auto text = line.substr(start, i - start);
    const std::size_t after = line.find_first_not_of(" \t", i + 1);
    const bool is_key = after != std::string_view::npos && line[after] == ':';
    if (has_lone_surrogate(text)) return Trouble{is_key ? "" : field, "lone surrogate"};
    if (is_key) field = text;
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const std::string& file, std::int64_t line, std::string_view text,
                         simdjson::error_code error) {
  if (line == 1 && text.starts_with("\x1F\x8B"))
    throw DataError(file, line, "", "is gzip data; rename the file to end in .gz");
  if (line == 1 && text.starts_with("PAR1"))
    throw DataError(
        file, line, "",
        "is a Parquet file; rename it to end in .parquet, or read it with sp2dpo::parquet");
  if (error == simdjson::UTF8_ERROR) throw DataError(file, line, "", "invalid UTF-8");
  if (const auto trouble = find_trouble(text))
    throw DataError(file, line, std::string(trouble->field), trouble->message);
  throw DataError(file, line, "",
                  fmt::format("not a JSON object: {}", simdjson::error_message(error)));
}

}  // namespace

text::Field RowParser::operator()(const std::string& file, std::int64_t line,
                                  std::string_view text) {
  static_assert(RowSource::padding >= simdjson::SIMDJSON_PADDING);
  if (line == 1 && text.starts_with("\xEF\xBB\xBF"))
    throw DataError(file, 1, "", "starts with a byte order mark; save the file as plain UTF-8");
  // Grow by powers of two; otherwise every slightly longer line allocates.
  if (text.size() > parser_.capacity())
    if (const auto error = parser_.allocate(std::bit_ceil(text.size())))
      refuse(file, line, text, error);
  simdjson::dom::element value;
  if (const auto error = parser_.parse(text.data(), text.size(), false).get(value))
    refuse(file, line, text, error);
  return text::Field(file, line, value);
}

JsonRows::JsonRows(std::unique_ptr<RowSource> source) : source_(std::move(source)) {
  detail::require(source_ != nullptr, "the source of rows is null");
}

bool JsonRows::next() {
  while (source_->next(text_))
    if (!is_blank_row(text_)) return true;
  return false;
}

text::Field JsonRows::row() {
  return parser_(source_->name(), source_->line(), text_);
}

std::string_view JsonRows::text() const {
  constexpr std::string_view blank = " \t\r";
  const auto begin = text_.find_first_not_of(blank);
  return text_.substr(begin, text_.find_last_not_of(blank) - begin + 1);
}

}  // namespace sp2dpo::io
