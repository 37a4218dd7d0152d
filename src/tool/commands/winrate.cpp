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
#include "named_files.hpp"
#include "text/counted.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/stats/win_rate.hpp>

namespace sp2dpo::tool {

namespace {

constexpr auto alpaca_judge = "weighted_alpaca_eval_gpt4_turbo";
constexpr auto alpaca_baseline = "gpt4_1106_preview";

struct WinRateOptions {
  std::string preferences;
  std::vector<std::string> official;
  std::string difficulty;
  std::string gamed;
  std::string c = "21.5443469";
  std::string judge;  // empty: as the files say, or AlpacaEval's
  std::string json;
};

/// Values of `--c`: a number for all models, or a column of a CSV file.
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
    named_files().add(args::FileUse::read, "--c", file_);
    io::CsvReader rows(file_);
    const auto model = rows.column("model"), c = rows.column(option.substr(colon + 1));
    while (rows.next()) {
      const auto number = rows.number(c);
      if (number && !(*number > 0)) rows.fail(c, fmt::format("must be positive, not {}", *number));
      if (number && !by_model_.emplace(rows.cell(model), *number).second)
        rows.fail(model, fmt::format("duplicate model {}", rows.cell(model)));
    }
  }

  [[nodiscard]] double of(const std::string& model) const {
    if (file_.empty()) return all_;
    const auto found = by_model_.find(model);
    if (found == by_model_.end())
      throw DataError(file_, 0, "model", fmt::format("missing c for {}", model));
    return found->second;
  }

 private:
  double all_ = 0;
  std::string file_;
  std::map<std::string, double> by_model_;
};

/// Win rates of one model.
struct ModelResult {
  std::string name;
  std::int64_t n;
  double c;
  stats::WinRate raw;
  stats::LengthControlledWinRate controlled;
};

/// A number that may be undefined. Not std::optional, whose value gcc 12 takes for uninitialised.
struct Maybe {
  bool defined;
  double value;
};

Maybe raw_error(const ModelResult& result) {
  return {result.raw.standard_error.has_value(), result.raw.standard_error.value_or(0)};
}

Maybe controlled_rate(const ModelResult& result) {
  const auto& rate = result.controlled.rate;
  return {rate.has_value(), rate ? rate->value : 0};
}

Maybe controlled_error(const ModelResult& result) {
  const auto& rate = result.controlled.rate;
  return {rate.has_value(), rate ? rate->standard_error.value_or(0) : 0};
}

/// The figure's name and the variant of the length control.
struct FigureNames {
  std::string label;
  std::string variant;
};

void write(text::JsonWriter& json, const ModelResult& result, const FigureNames& names) {
  const auto maybe = [&](const Maybe& number) {
    if (number.defined)
      json.number(number.value);
    else
      json.raw("null");
  };
  json.item().open('{');
  json.key("c").number(result.c);
  json.key("label").text(names.label);
  json.key("lc_standard_error");
  maybe(controlled_error(result));
  json.key("lc_win_rate");
  maybe(controlled_rate(result));
  json.key("model").text(result.name);
  json.key("n").integer(result.n);
  json.key("reason");
  if (result.controlled.reason.empty())
    json.raw("null");
  else
    json.text(result.controlled.reason);
  json.key("standard_error");
  maybe(raw_error(result));
  json.key("variant").text(names.variant);
  json.key("win_rate").number(result.raw.value);
  json.close('}');
}

void print(const std::vector<ModelResult>& results, const FigureNames& names,
           const std::string& judge) {
  const auto cell = [](const Maybe& number) {
    return number.defined ? fmt::format("{:.2f}", number.value) : "-";
  };
  fmt::print("{}, {}, judge {}\n\n{:<44}{:>6}{:>10}{:>8}{:>10}{:>8}{:>12}\n", names.label,
             names.variant, judge, "model", "n", "win rate", "+-", "LC", "+-", "c");
  for (const auto& result : results) {
    fmt::print("{:<44}{:>6}{:>10.2f}{:>8}{:>10}{:>8}{:>12.6g}\n", result.name, result.n,
               result.raw.value, cell(raw_error(result)), cell(controlled_rate(result)),
               cell(controlled_error(result)), result.c);
    if (!result.controlled.reason.empty()) fmt::print("  no LC: {}\n", result.controlled.reason);
  }
}

ModelResult result_of(const Model& model, const Strengths& strengths, const std::string& file,
                      bool use_difficulty, const std::vector<stats::GamedRow>& gamed) {
  std::vector<stats::Comparison> comparisons;
  for (const auto& [index, row] : model.rows)
    if (row) comparisons.push_back(*row);
  if (comparisons.empty())
    throw DataError(file, 0, "preference", fmt::format("model {} has no preference", model.name));
  const double c = strengths.of(model.name);
  return {model.name, std::ssize(comparisons), c, stats::win_rate(comparisons),
          stats::length_controlled_win_rate(
              comparisons, {.use_difficulty = use_difficulty, .gamed = gamed, .c = c})};
}

/// The judge that the files name, else the one that the user names.
std::string judge_of(const WinRateOptions& options, const WinRateInput& input,
                     const std::string& file) {
  if (!options.judge.empty() && !input.judge.empty() && options.judge != input.judge)
    throw DataError(file, 0, "annotator",
                    fmt::format("the judge is {}, not {}", input.judge, options.judge));
  if (!input.judge.empty()) return input.judge;
  if (!options.judge.empty()) return options.judge;
  return options.official.empty() ? alpaca_judge : "unknown";
}

void warn_about_unused(const Difficulties& difficulties, const WinRateInput& input,
                       const std::string& difficulty_file, const std::string& file) {
  std::vector<std::string> unused;
  for (const auto& [index, difficulty] : difficulties)
    if (!input.models.front().rows.contains(index)) unused.push_back(index);
  if (!unused.empty())
    fmt::print(stderr, "{}: {} missing from {}: {}\n", difficulty_file,
               text::counted(unused.size(), "instruction"), file, fmt::join(unused, ", "));
}

void run(const WinRateOptions& options) {
  if (!options.gamed.empty() && options.difficulty.empty())
    throw UsageError("--gamed requires --difficulty");
  const Strengths strengths(options.c);
  const bool official = !options.official.empty();
  if (official == !options.preferences.empty())
    throw UsageError("winrate needs either --preferences or --alpaca-eval");
  Difficulties difficulties;
  if (!options.difficulty.empty())
    difficulties =
        read_difficulties(options.difficulty, official ? "instruction_sha256_16" : "index");
  std::vector<stats::GamedRow> gamed;
  if (!options.gamed.empty()) gamed = read_gamed(options.gamed);
  const auto* const known = options.difficulty.empty() ? nullptr : &difficulties;
  const auto input = official ? read_official(options.official, known)
                              : read_preferences(options.preferences, known);
  const std::string& file = official ? options.official.front() : options.preferences;
  const std::string judge = judge_of(options, input, file);
  warn_about_unused(difficulties, input, options.difficulty, file);

  const bool is_alpaca_eval =
      !gamed.empty() && judge == alpaca_judge && (!official || input.baseline == alpaca_baseline);
  const FigureNames names{is_alpaca_eval ? "AlpacaEval 2 LC" : "LC-style",
                          !gamed.empty()          ? "length_controlled_v1"
                          : !difficulties.empty() ? "length_controlled_noreg"
                                                  : "length_controlled_minimal"};
  std::vector<ModelResult> results;
  for (const auto& model : input.models)
    results.push_back(result_of(model, strengths, file, !difficulties.empty(), gamed));
  print(results, names, judge);
  if (options.json.empty()) return;
  std::string text;
  text::JsonWriter json(text);
  json.open('[');
  for (const auto& result : results) write(json, result, names);
  json.close(']');
  save(options.json, text + '\n');
}

}  // namespace

Run declare_winrate(args::Command app) {
  const auto options = std::make_shared<WinRateOptions>();
  app.section("Input");
  app.option("--preferences", &options->preferences,
             "CSV with the columns model, index, len_baseline, len_model, preference (1: the "
             "baseline wins, 2: the model wins, 0: draw)")
      .file(args::FileUse::read);
  app.option("--alpaca-eval", &options->official,
             "AlpacaEval's annotations.json instead; may be repeated")
      .file(args::FileUse::read)
      .excludes("--preferences");
  app.option("--difficulty", &options->difficulty,
             "CSV with the columns index, difficulty; with --alpaca-eval "
             "instruction_sha256_16, difficulty")
      .file(args::FileUse::read);
  app.option("--gamed", &options->gamed,
             "CSV with the columns tanh_std_delta_len, difficulty, pseudo_preference")
      .file(args::FileUse::read);
  app.section("Statistics");
  app.option("--c", &options->c,
             "Inverse strength of the penalty, or FILE.csv:COLUMN for a value per model")
      .show_default();
  app.option(
      "--judge", &options->judge,
      fmt::format("Judge that gave the preferences [from the files, else {}]", alpaca_judge));
  app.section("Output");
  app.option("-j,--json", &options->json, "Write the figures to this file, .json")
      .file(args::FileUse::write);
  app.footer(
      "Without --difficulty and --gamed, or with another judge, the figure is LC-style and not "
      "comparable\nwith AlpacaEval 2.");
  return [options] { run(*options); };
}

}  // namespace sp2dpo::tool
