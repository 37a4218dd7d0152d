// SPDX-License-Identifier: Apache-2.0
#include "csv_rows.hpp"

#include <algorithm>

#include <fmt/ranges.h>
#include <simdjson.h>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::io {

CsvRows::CsvRows(const std::filesystem::path& path) : lines_(path) {
  if (!read())
    throw DataError(lines_.name(), 0, "", "empty file; the first line must name the columns");
  header_.assign(cells_.begin(), cells_.begin() + static_cast<std::ptrdiff_t>(n_cells_));
  for (auto name = header_.begin(); name != header_.end(); ++name)
    if (std::find(header_.begin(), name, *name) != name)
      fail(fmt::format("duplicate column \"{}\"", *name));
}

bool CsvRows::next() {
  if (!read()) return false;
  if (n_cells_ != header_.size())
    fail(fmt::format("expected {} cells as in the header, got {}", header_.size(), n_cells_));
  return true;
}

std::size_t CsvRows::column(std::string_view name) const {
  const auto found = std::ranges::find(header_, name);
  if (found == header_.end())
    throw DataError(lines_.name(), 1, std::string(name),
                    fmt::format("missing column; the file has: {}", fmt::join(header_, ", ")));
  return static_cast<std::size_t>(found - header_.begin());
}

void CsvRows::fail(std::size_t column, const std::string& message) const {
  throw DataError(lines_.name(), first_line_, header_[column], message);
}

void CsvRows::fail(const std::string& message) const {
  throw DataError(lines_.name(), first_line_, "", message);
}

/// Advances to the next line. Drops the CR of a CR LF, and the byte order mark that spreadsheets
/// write.
bool CsvRows::next_line() {
  if (!lines_.next(line_)) return false;
  if (!simdjson::validate_utf8(line_.data(), line_.size()))
    throw DataError(lines_.name(), lines_.line(), "", "invalid UTF-8");
  if (lines_.line() == 1 && line_.starts_with("\xEF\xBB\xBF")) line_.remove_prefix(3);
  if (line_.ends_with('\r')) line_.remove_suffix(1);
  return true;
}

bool CsvRows::read() {
  do {
    if (!next_line()) return false;
  } while (line_.empty());
  first_line_ = lines_.line();
  n_cells_ = 0;
  for (std::size_t at = 0;; ++at) {
    if (n_cells_ == cells_.size()) cells_.emplace_back();
    std::string& cell = cells_[n_cells_++];
    cell.clear();
    if (at < line_.size() && line_[at] == '"') {
      at = read_quoted(cell, at + 1);
      if (at < line_.size() && line_[at] != ',') fail("text after a closing quote");
    } else {
      const std::size_t end = std::min(line_.find(',', at), line_.size());
      cell.assign(line_, at, end - at);
      if (cell.find('"') != std::string::npos) fail("quote inside an unquoted cell");
      at = end;
    }
    if (at >= line_.size()) return true;
  }
}

/// Reads a quoted cell, which may span lines, from after its opening quote. Returns the position
/// after the closing quote.
std::size_t CsvRows::read_quoted(std::string& cell, std::size_t at) {
  for (;;) {
    const std::size_t quote = line_.find('"', at);
    cell.append(line_, at, quote == std::string_view::npos ? quote : quote - at);
    if (quote == std::string_view::npos) {
      if (!next_line()) fail("unclosed quote");
      cell += '\n';
      at = 0;
    } else if (quote + 1 < line_.size() && line_[quote + 1] == '"') {
      cell += '"';
      at = quote + 2;
    } else {
      return quote + 1;
    }
  }
}

}  // namespace sp2dpo::io
