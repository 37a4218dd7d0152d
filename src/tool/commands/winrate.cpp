// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "command.hpp"
#include "input/numbers.hpp"
#include "input/winrate_input.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/stats/win_rate.hpp>

namespace sp2dpo::tool {

namespace {

constexpr auto alpaca_judge = "weighted_alpaca_eval_gpt4_turbo";
constexpr auto alpaca_baseline = "gpt4_1106_preview";

struct Options {
  std::string preferences;
  std::vector<std::string> official;
  std::string difficulty;
  std::string gamed;
  std::string c = "21.5443469";
  std::string judge;  // empty: as the files say, or AlpacaEval's
  std::string json;
};

/// `--c VALUE` for all models, or `--c FILE.csv:COLUMN` for each.
class Strengths {
 public:
  explicit Strengths(const std::string& option) {
    const auto colon = option.rfind(':');
    if (colon == std::string::npos) {
      all_ = parse_number("--c", option);
      if (!(all_ > 0)) throw UsageError(fmt::format("--c must be positive, not {}", all_));
      return;
    }
    file_ = option.substr(0, colon);
    io::CsvReader rows(file_);
    const auto model = rows.column("model"), c = rows.column(option.substr(colon + 1));
    while (rows.next()) {
      const auto number = rows.number(c);
      if (number && !(*number > 0)) rows.fail(c, fmt::format("must be positive, not {}", *number));
      if (number && !by_model_.emplace(rows.cell(model), *number).second)
        rows.fail(model, fmt::format("the model {} comes twice", rows.cell(model)));
    }
  }

  [[nodiscard]] double of(const std::string& model) const {
    if (file_.empty()) return all_;
    const auto found = by_model_.find(model);
    if (found == by_model_.end())
      throw DataError(file_, 0, "model", fmt::format("there is no c for {}", model));
    return found->second;
  }

 private:
  double all_ = 0;
  std::string file_;
  std::map<std::string, double> by_model_;
};

void write_rate(text::JsonWriter& json, bool defined, double value) {
  if (defined)
    json.number(value);
  else
    json.raw("null");
}

void run(const Options& options) {
  if (!options.gamed.empty() && options.difficulty.empty())
    throw UsageError("--gamed goes with --difficulty");
  const Strengths strengths(options.c);
  Difficulties difficulties;
  const bool official = !options.official.empty();
  if (official == !options.preferences.empty())
    throw UsageError("winrate needs either --preferences or --alpaca-eval");
  if (!options.difficulty.empty())
    difficulties =
        read_difficulties(options.difficulty, official ? "instruction_sha256_16" : "index");
  std::vector<stats::GamedRow> gamed;
  if (!options.gamed.empty()) gamed = read_gamed(options.gamed);
  const auto* const known = options.difficulty.empty() ? nullptr : &difficulties;
  const auto input = official ? read_official(options.official, known)
                              : read_preferences(options.preferences, known);
  const auto& models = input.models;
  const std::string& file = official ? options.official.front() : options.preferences;
  if (!options.judge.empty() && !input.judge.empty() && options.judge != input.judge)
    throw DataError(file, 0, "annotator",
                    fmt::format("the judge is {}, not {}", input.judge, options.judge));
  const std::string judge = !input.judge.empty()     ? input.judge
                            : !options.judge.empty() ? options.judge
                            : official               ? "unknown"
                                                     : alpaca_judge;

  std::vector<std::string> unused;
  for (const auto& [index, difficulty] : difficulties)
    if (!models.front().rows.contains(index)) unused.push_back(index);
  if (!unused.empty())
    fmt::print(stderr, "{} instructions of {} are not in {}: {}\n", unused.size(),
               options.difficulty, file, fmt::join(unused, ", "));

  const bool whole = !gamed.empty();
  const std::string variant = whole                   ? "length_controlled_v1"
                              : !difficulties.empty() ? "length_controlled_noreg"
                                                      : "length_controlled_minimal";
  const std::string label =
      whole && judge == alpaca_judge && (!official || input.baseline == alpaca_baseline)
          ? "AlpacaEval 2 LC"
          : "LC-style";
  std::string text;
  text::JsonWriter json(text);
  json.open('[');
  fmt::print("{}, {}, judge {}\n\n{:<44}{:>6}{:>10}{:>8}{:>10}{:>8}{:>12}\n", label, variant, judge,
             "model", "n", "win rate", "+-", "LC", "+-", "c");
  for (const auto& model : models) {
    std::vector<stats::Comparison> comparisons;
    for (const auto& [index, row] : model.rows)
      if (row) comparisons.push_back(*row);
    if (comparisons.empty())
      throw DataError(file, 0, "preference", fmt::format("{} has not a single one", model.name));
    const double c = strengths.of(model.name);
    const auto raw = stats::win_rate(comparisons);
    const auto controlled = stats::length_controlled_win_rate(
        comparisons, {.use_difficulty = !difficulties.empty(), .gamed = gamed, .c = c});
    // No optional doubles: gcc 12 takes those for uninitialised.
    const bool defined = controlled.rate.has_value();
    const double lc = defined ? controlled.rate->value : 0;
    const double lc_error = defined ? controlled.rate->standard_error.value_or(0) : 0;

    json.item().open('{');
    json.key("c").number(c);
    json.key("label").text(label);
    json.key("lc_standard_error");
    write_rate(json, defined, lc_error);
    json.key("lc_win_rate");
    write_rate(json, defined, lc);
    json.key("model").text(model.name);
    json.key("n").integer(std::ssize(comparisons));
    json.key("reason");
    if (controlled.reason.empty())
      json.raw("null");
    else
      json.text(controlled.reason);
    json.key("standard_error");
    write_rate(json, raw.standard_error.has_value(), raw.standard_error.value_or(0));
    json.key("variant").text(variant);
    json.key("win_rate").number(raw.value);
    json.close('}');

    const auto cell = [](bool there, double value) {
      return there ? fmt::format("{:.2f}", value) : "-";
    };
    fmt::print("{:<44}{:>6}{:>10.2f}{:>8}{:>10}{:>8}{:>12.6g}\n", model.name, comparisons.size(),
               raw.value, cell(raw.standard_error.has_value(), raw.standard_error.value_or(0)),
               cell(defined, lc), cell(defined, lc_error), c);
    if (!controlled.reason.empty()) fmt::print("  no LC: {}\n", controlled.reason);
  }
  json.close(']');
  if (options.json.empty()) return;
  text += '\n';
  io::OutputFile out(options.json);
  out.write(text);
  out.commit();
}

}  // namespace

Run declare_winrate(args::Command app) {
  const auto options = std::make_shared<Options>();
  app.option("--preferences", &options->preferences,
             "CSV with the columns model, index, len_baseline, len_model, preference (1: the "
             "baseline wins, 2: the model, 0: a draw)");
  app.option("--alpaca-eval", &options->official,
             "Instead: AlpacaEval's annotations.json; may be repeated")
      .excludes("--preferences");
  app.option("--difficulty", &options->difficulty,
             "CSV with the columns index, difficulty; with --alpaca-eval "
             "instruction_sha256_16, difficulty");
  app.option("--gamed", &options->gamed,
             "CSV with the columns tanh_std_delta_len, difficulty, pseudo_preference");
  app.option("--c", &options->c, "Inverse strength of the penalty, or FILE.csv:COLUMN by model")
      .show_default();
  app.option("--judge", &options->judge,
             fmt::format("Who said the preferences [as the files say, or {}]", alpaca_judge));
  app.option("--json", &options->json, "File for the figures");
  app.footer(
      "Without --difficulty and --gamed, or with another judge, the figure is LC-style, and not to "
      "be\ncompared with AlpacaEval 2's.");
  return [options] { run(*options); };
}

}  // namespace sp2dpo::tool
