// SPDX-License-Identifier: Apache-2.0
#include "input/options.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <system_error>
#include <variant>

#include "command.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sp2dpo::tool {

void PairOptions::declare(args::Command app, Need need) {
  app.option("--pairs", &file, "Preference pairs, .jsonl, .jsonl.gz or .parquet")
      .required(need == Need::required);
  app.option("--id-field", &reader.id_field,
             "Column with the pairs' ids [id, or where there is none, a hash of the pair]");
  app.option("--duplicates", &duplicates,
             "Pairs with an id that was there before: error, or first to keep the first one")
      .one_of({"error", "first"})
      .show_default();
  app.flag("--lenient", &reader.lenient, "Leave bad rows out, and list them");
}

io::PairReaderOptions PairOptions::reader_options() const {
  io::PairReaderOptions options = reader;
  if (duplicates == "first") options.duplicates = io::PairReaderOptions::Duplicates::first;
  return options;
}

void CategoryOptions::declare(args::Command app) {
  app.option("--categories", &names,
             fmt::format("Names of the categories, highest priority first [{}]",
                         fmt::join(Categories().names(), ",")))
      .separated_by(',');
}

Categories CategoryOptions::categories() const {
  if (names.empty()) return {};
  try {
    return Categories(names);
  } catch (const InvalidArgument& error) {
    throw UsageError(fmt::format("--categories: {}", error.what()));
  }
}

double parse_number(std::string_view option, std::string_view text) {
  double number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number))
    throw UsageError(fmt::format("{}: expected a number, not \"{}\"", option, text));
  return number;
}

Interval parse_interval(std::string_view option, std::string_view text) {
  const auto comma = text.find(',');
  if (comma == std::string_view::npos)
    throw UsageError(fmt::format("{}: expected two numbers, LOW,HIGH, not \"{}\"", option, text));
  return {parse_number(option, text.substr(0, comma)),
          parse_number(option, text.substr(comma + 1))};
}

double length_difference(const PreferencePair& pair) {
  const auto length = [](const Text& text) {
    if (const auto* plain = std::get_if<std::string>(&text))
      return static_cast<double>(plain->size());
    double sum = 0;
    for (const auto& message : std::get<std::vector<Message>>(text))
      sum += static_cast<double>(message.content.size());
    return sum;
  };
  return length(pair.chosen) - length(pair.rejected);
}

void list_skipped(const io::RowReader& reader) {
  constexpr std::size_t most = 20;
  if (reader.n_skipped() == 0) return;
  fmt::print(stderr, "{}: {} rows left out:\n", reader.path().string(), reader.n_skipped());
  const auto& skipped = reader.skipped();
  for (std::size_t i = 0; i < std::min(most, skipped.size()); ++i)
    fmt::print(stderr, "  {}\n", skipped[i].what());
  if (skipped.size() > most)
    fmt::print(stderr, "  and {} more\n", reader.n_skipped() - static_cast<std::int64_t>(most));
}

}  // namespace sp2dpo::tool
