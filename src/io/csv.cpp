// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cmath>
#include <system_error>

#include "csv_rows.hpp"
#include <fmt/format.h>

#include <sp2dpo/io/csv.hpp>

namespace sp2dpo::io {

CsvReader::CsvReader(const std::filesystem::path& path) : rows_(std::make_unique<CsvRows>(path)) {}
CsvReader::~CsvReader() = default;

bool CsvReader::next() {
  return rows_->next();
}
std::size_t CsvReader::column(std::string_view name) const {
  return rows_->column(name);
}
const std::string& CsvReader::cell(std::size_t column) const {
  return rows_->cell(column);
}

std::optional<double> CsvReader::number(std::size_t column) const {
  const std::string& text = cell(column);
  if (text.empty()) return std::nullopt;
  double number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number))
    fail(column, fmt::format("expected a number, not \"{}\"", text));
  return number;
}

const std::string& CsvReader::sha256() const noexcept {
  return rows_->sha256();
}

void CsvReader::fail(std::size_t column, const std::string& message) const {
  rows_->fail(column, message);
}

}  // namespace sp2dpo::io
