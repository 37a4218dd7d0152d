// SPDX-License-Identifier: Apache-2.0
#include "input/ratings_table.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/csv.hpp>

namespace sp2dpo::tool {

namespace {

std::optional<double> number(const std::string& text) {
  double value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Table read_table(const std::string& file, const std::vector<std::string>& categories) {
  struct Cell {
    std::size_t unit, rater, value;
  };
  io::CsvReader rows(file);
  const auto unit_column = rows.column("unit");
  const auto rater_column = rows.column("rater");
  const auto value_column = rows.column("value");
  Names units, raters, values;
  std::vector<Cell> cells;
  std::set<std::string> allowed(categories.begin(), categories.end());
  std::unordered_map<std::size_t, std::set<std::size_t>> seen;  // raters by unit
  while (rows.next()) {
    for (const auto column : {unit_column, rater_column})
      if (rows.cell(column).empty()) rows.fail(column, "is blank");
    const std::size_t unit = units.place(rows.cell(unit_column));
    const std::size_t rater = raters.place(rows.cell(rater_column));
    if (!seen[unit].insert(rater).second)
      rows.fail(rater_column, fmt::format("duplicate value for unit {} by rater {}",
                                          rows.cell(unit_column), rows.cell(rater_column)));
    const std::string& value = rows.cell(value_column);
    if (value.empty()) continue;
    if (!allowed.empty() && !allowed.contains(value))
      rows.fail(value_column, fmt::format("\"{}\" is not among --categories", value));
    if (number(value)) (void)rows.number(value_column);  // throws if it is not finite
    cells.push_back({unit, rater, values.place(value)});
  }
  if (units.list().empty()) throw DataError(file, 0, "", "no ratings");

  Table table{.ratings = {units.list().size(), raters.list().size()}, .raters = raters.list()};
  const auto& names = allowed.empty() ? values.list() : categories;
  const auto text = std::ranges::find_if(names, [](const auto& name) { return !number(name); });
  if (text != names.end())
    table.nominal_reason = fmt::format("\"{}\" is not a number, so the values are names", *text);
  std::vector<double> codes;
  for (std::size_t i = 0; i < values.list().size(); ++i)
    codes.push_back(text == names.end() ? *number(values.list()[i]) : static_cast<double>(i));
  for (const auto& cell : cells) table.ratings.set(cell.unit, cell.rater, codes[cell.value]);
  for (const auto& name : categories)
    table.categories.push_back(text == names.end() ? *number(name)
                                                   : static_cast<double>(values.place(name)));
  return table;
}

}  // namespace sp2dpo::tool
