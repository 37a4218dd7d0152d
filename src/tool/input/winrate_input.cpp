// SPDX-License-Identifier: Apache-2.0
#include "input/winrate_input.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/alpaca.hpp>
#include <sp2dpo/io/csv.hpp>

namespace sp2dpo::tool {

namespace {

double needed(const io::CsvReader& rows, std::size_t column) {
  const auto number = rows.number(column);
  if (!number) rows.fail(column, "is blank");
  return *number;
}

double length(const io::CsvReader& rows, std::size_t column) {
  const double number = needed(rows, column);
  if (number < 0) rows.fail(column, fmt::format("a length must be >= 0, not {}", number));
  return number;
}

/// `texts` holds the instructions, if known.
void check_same_instructions(const std::string& file, const std::vector<Model>& models,
                             const std::map<std::string, std::string>& texts) {
  constexpr std::size_t max_shown = 20;
  for (const auto& model : models)
    for (const auto& other : models) {
      std::vector<std::string> missing;
      for (const auto& [index, row] : model.rows)
        if (!other.rows.contains(index)) {
          const auto text = texts.find(index);
          missing.push_back(text == texts.end() ? index : fmt::format("\"{}\"", text->second));
        }
      if (missing.empty()) continue;
      const std::size_t n = missing.size();
      if (n > max_shown) missing.resize(max_shown);
      throw DataError(
          file, 0, texts.empty() ? "index" : "instruction",
          fmt::format("{} has the instruction{} {}{}, which {} lacks; mark a missing preference by "
                      "a row with a "
                      "blank preference",
                      model.name, n > 1 ? "s" : "", fmt::join(missing, ", "),
                      n > max_shown ? fmt::format(" and {} more", n - max_shown) : "", other.name));
    }
}

/// The start of a text, on one line.
std::string shortened(const std::string& text) {
  constexpr std::size_t longest = 60;
  std::string line = text.substr(0, longest);
  if (text.size() > longest) {
    while (!line.empty() && (static_cast<unsigned char>(text[line.size()]) & 0xC0U) == 0x80U)
      line.pop_back();  // do not cut a UTF-8 character
    line += "…";
  }
  std::ranges::replace(line, '\n', ' ');
  return line;
}

}  // namespace

Difficulties read_difficulties(const std::string& file, const char* key) {
  Difficulties difficulties;
  io::CsvReader rows(file);
  const auto index = rows.column(key), difficulty = rows.column("difficulty");
  while (rows.next())
    if (!difficulties.emplace(rows.cell(index), needed(rows, difficulty)).second)
      rows.fail(index, fmt::format("duplicate instruction {}", rows.cell(index)));
  return difficulties;
}

std::vector<stats::GamedRow> read_gamed(const std::string& file) {
  std::vector<stats::GamedRow> gamed;
  io::CsvReader rows(file);
  const auto length = rows.column("tanh_std_delta_len"), difficulty = rows.column("difficulty"),
             win = rows.column("pseudo_preference");
  while (rows.next()) {
    gamed.push_back({needed(rows, length), needed(rows, difficulty), needed(rows, win)});
    if (!(gamed.back().win >= 0 && gamed.back().win <= 1))
      rows.fail(win, fmt::format("expected a number in [0, 1], not {}", gamed.back().win));
  }
  if (gamed.empty()) throw DataError(file, 0, "", "no rows");
  return gamed;
}

WinRateInput read_preferences(const std::string& file, const Difficulties* difficulties) {
  std::vector<Model> models;
  std::map<std::string, std::size_t> places;
  io::CsvReader rows(file);
  const auto model_column = rows.column("model"), index_column = rows.column("index"),
             baseline_column = rows.column("len_baseline"),
             length_column = rows.column("len_model"),
             preference_column = rows.column("preference");
  while (rows.next()) {
    const std::string& name = rows.cell(model_column);
    const std::string& index = rows.cell(index_column);
    const auto [place, fresh] = places.try_emplace(name, models.size());
    if (fresh) models.push_back({name});
    const auto [row, first] = models[place->second].rows.try_emplace(index);
    if (!first)
      rows.fail(index_column, fmt::format("duplicate row of {} for instruction {}", name, index));

    stats::Comparison comparison{.len_baseline = length(rows, baseline_column),
                                 .len_model = length(rows, length_column)};
    if (difficulties != nullptr) {
      const auto difficulty = difficulties->find(index);
      if (difficulty == difficulties->end())
        rows.fail(index_column, fmt::format("missing difficulty of instruction {}", index));
      comparison.difficulty = difficulty->second;
    }
    const auto preference = rows.number(preference_column);
    if (!preference) continue;
    if (*preference != 0 && !(*preference >= 1 && *preference <= 2))
      rows.fail(preference_column,
                fmt::format("expected a number in [1, 2], or 0 for a draw, not {}", *preference));
    comparison.win = *preference == 0 ? 0.5 : *preference - 1;
    row->second = comparison;
  }
  if (models.empty()) throw DataError(file, 0, "", "no rows");

  check_same_instructions(file, models, {});
  return {std::move(models)};
}

WinRateInput read_official(const std::vector<std::string>& files,
                           const Difficulties* difficulties) {
  WinRateInput input;
  std::map<std::string, std::size_t> places;
  std::map<std::string, std::string> texts;
  bool first = true;
  for (const auto& file : files)
    for (auto& verdict : io::read_alpaca(file)) {
      const std::string text = shortened(verdict.instruction);
      if (std::exchange(first, false)) {
        input.judge = verdict.judge;
        input.baseline = verdict.baseline;
      }
      for (const auto& [field, is, was] : {std::tuple{"annotator", &verdict.judge, &input.judge},
                                           {"generator_1", &verdict.baseline, &input.baseline}})
        if (*is != *was)
          throw DataError(
              file, 0, field,
              fmt::format("\"{}\" for \"{}\", but \"{}\" before: win rates of different ones are "
                          "not comparable",
                          *is, text, *was));
      texts.emplace(verdict.instruction_id, text);
      const auto [place, fresh] = places.try_emplace(verdict.model, input.models.size());
      if (fresh) input.models.push_back({verdict.model});
      const auto [row, once] = input.models[place->second].rows.try_emplace(verdict.instruction_id);
      if (!once)
        throw DataError(file, 0, "instruction",
                        fmt::format("duplicate record of {} for \"{}\"", verdict.model, text));
      stats::Comparison comparison{.len_baseline = static_cast<double>(verdict.len_baseline),
                                   .len_model = static_cast<double>(verdict.len_model)};
      if (difficulties != nullptr) {
        const auto difficulty = difficulties->find(verdict.instruction_id);
        if (difficulty == difficulties->end())
          throw DataError(
              file, 0, "instruction",
              fmt::format("missing difficulty of \"{}\" (hash {})", text, verdict.instruction_id));
        comparison.difficulty = difficulty->second;
      }
      if (!verdict.preference) continue;
      comparison.win = *verdict.preference == 0 ? 0.5 : *verdict.preference - 1;
      row->second = comparison;
    }
  check_same_instructions(files.front(), input.models, texts);
  return input;
}

}  // namespace sp2dpo::tool
