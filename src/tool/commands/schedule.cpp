// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.hpp"
#include "input/annotations.hpp"
#include "input/gold.hpp"
#include "input/numbers.hpp"
#include "input/pairs.hpp"
#include "named_files.hpp"
#include "output/files.hpp"
#include "output/findings.hpp"
#include "parts/aggregators.hpp"
#include "parts/calibration.hpp"
#include "parts/mappers.hpp"
#include "text/counted.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>
#include <terminal.hpp>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/io/join.hpp>
#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/report/checks.hpp>
#include <sp2dpo/report/table.hpp>
#include <sp2dpo/schedule/aggregate.hpp>

namespace sp2dpo::tool {

namespace {

struct ScheduleOptions {
  PairOptions pairs;
  CategoryOptions categories;
  std::vector<std::string> annotations;
  std::string out;
  std::string manifest;
  std::string join;
  std::string json;
  bool overwrite = false;
  bool full_paths = false;
  std::string aggregator = "jmamp";
  std::string mapper = "linear";
  std::string envelope = "0.03,0.3";
  std::string gap_range = "0,1";
  std::string missing = "error";
  bool envelope_given = false;
  bool gap_range_given = false;
  AggregatorDefaults panel;
  FitOptions fit;
};

Linear linear(const ScheduleOptions& options) {
  try {
    return Linear(parse_interval("--envelope", options.envelope),
                  parse_interval("--gap-range", options.gap_range));
  } catch (const InvalidArgument& error) {
    throw UsageError(error.what());
  }
}

Missing missing(const ScheduleOptions& options) {
  constexpr std::string_view base_beta = "base-beta=";
  if (options.missing == "error") return {};
  if (options.missing == "drop") return {.policy = Missing::Policy::drop};
  if (!options.missing.starts_with(base_beta))
    throw UsageError(
        fmt::format("--missing: expected error, drop or base-beta=B, not \"{}\"", options.missing));
  const double beta = parse_number("--missing base-beta", options.missing.substr(base_beta.size()));
  if (!(beta > 0))
    throw UsageError(fmt::format("--missing base-beta: beta must be positive, not {}", beta));
  return {.policy = Missing::Policy::base_beta, .beta = beta};
}

/// Returns a table of the number of annotations by annotator and prompt.
std::string coverage_table(const VoteTable& votes) {
  std::map<std::string_view, std::map<std::string_view, std::int64_t>> table;
  std::map<std::string_view, std::size_t> widths;  // by prompt
  std::size_t first = 0;
  votes.for_each_count([&](std::string_view annotator, std::string_view prompt, auto count) {
    table[annotator][prompt] = count;
    auto& width = widths[prompt];
    width = std::max({width, prompt.size(), std::to_string(count).size()});
    first = std::max(first, annotator.size());
  });
  std::string text = fmt::format("\nAnnotations by annotator and prompt\n  {:{}}", "", first);
  for (const auto& [prompt, width] : widths) text += fmt::format("  {:>{}}", prompt, width);
  for (const auto& [annotator, row] : table) {
    text += fmt::format("\n  {:{}}", annotator, first);
    for (const auto& [prompt, width] : widths) {
      const auto cell = row.find(prompt);
      text += fmt::format("  {:>{}}", cell == row.end() ? 0 : cell->second, width);
    }
  }
  return text + '\n';
}

/// Aggregates in two threads; more would wait for the temporary files.
SpooledGaps aggregate_all(const VoteTable& votes, const NamedAggregator& aggregator) {
  const std::size_t n = votes.ids().size();
  const std::size_t middle = n < 1000 ? n : n / 2;
  auto others = std::async(std::launch::async, [&] {
    return aggregate_spooled(votes, aggregator.aggregate, middle, n);
  });
  SpooledGaps gaps = aggregate_spooled(votes, aggregator.aggregate, 0, middle);
  gaps.append(others.get());
  return gaps;
}

/// Throws if the policy does not allow for the pairs without a gap, or leaves no pair.
void check_missing(const SpooledGaps& gaps, Missing::Policy policy) {
  if (policy == Missing::Policy::error && gaps.n_missing() > 0) {
    std::string first;
    gaps.for_each([&](const PairGap& pair) {
      if (first.empty() && !pair.gap) first = pair.id;
    });
    throw Error(fmt::format(
        "{} of {} pairs have too few annotations for a gap, starting with {}\n"
        "  --missing drop leaves such pairs out, --missing base-beta=B gives them a beta",
        gaps.n_missing(), gaps.size(), first));
  }
  if (policy == Missing::Policy::drop && gaps.n_missing() == gaps.size())
    throw Error("no pair has enough annotations for a gap");
}

/// Keeps the numbers of the pairs that the schedule keeps.
std::vector<double> of_schedule(std::vector<double> by_pair, const SpooledGaps& gaps,
                                Missing::Policy policy) {
  if (policy != Missing::Policy::drop || gaps.n_missing() == 0) return by_pair;
  std::vector<double> kept;
  kept.reserve(gaps.size() - gaps.n_missing());
  auto number = by_pair.begin();
  gaps.for_each([&](const PairGap& pair) {
    if (pair.gap) kept.push_back(*number);
    ++number;
  });
  return kept;
}

std::string text_of(const std::vector<report::Finding>& findings) {
  if (findings.empty()) return "No check failed\n";
  std::string text;
  for (const auto& finding : findings)
    text += fmt::format("{} ({}): {}\n  try: {}\n",
                        args::emphasized("Warning", args::Emphasis::warning, stdout), finding.check,
                        finding.sentence, finding.remedy);
  return text;
}

/// Writes the counts and the checks that found something.
void write_figures(const std::string& file, const io::ScheduleManifest& manifest,
                   const std::vector<report::Finding>& findings) {
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  write_json(json.key("checks"), findings);
  json.key("counts").open('{');
  const auto& counts = manifest.counts;
  for (const auto& [name, value] : {std::pair{"annotations", counts.annotations},
                                    {"clipped_high", counts.clipped_high},
                                    {"clipped_low", counts.clipped_low},
                                    {"missing", counts.missing},
                                    {"pairs", counts.pairs}})
    json.key(name).integer(value);
  json.close('}');
  json.close('}');
  save(file, text + '\n');
}

void run(const ScheduleOptions& options) {
  if (!options.join.empty() && !std::filesystem::is_regular_file(options.pairs.file))
    throw UsageError("--join reads the pairs twice; --pairs must be a regular file");
  if (!options.join.empty() && is_parquet(options.join) && !is_parquet(options.pairs.file))
    throw UsageError("--join: a .parquet file requires pairs in Parquet; name a .jsonl file");
  (void)is_parquet(options.out);
  const Missing policy = missing(options);
  const Categories categories = options.categories.categories();
  AggregatorDefaults panel = options.panel;
  panel.n_categories = categories.size();
  const AggregatorMaker chosen = choose_aggregator(options.aggregator, panel);
  const NamedMapper mapper = choose_mapper(options.mapper, {linear(options), options.envelope_given,
                                                            options.gap_range_given, categories});

  std::vector<double> length_differences;  // by pair: chosen minus rejected, in bytes
  PairsSummary pairs = read_pairs(options.pairs, [&](const PreferencePair& pair) {
    length_differences.push_back(length_difference(pair));
  });
  std::optional<VoteTable> votes(std::in_place, std::move(pairs.ids), categories, max_in_memory);
  std::optional<Gold> gold;
  if (!options.fit.gold.empty()) gold = read_gold(options.fit.gold, votes->ids());
  io::ScheduleManifest manifest{
      .inputs = {pairs.file}, .mapper = mapper.description, .missing = io::describe(policy)};
  for (auto& input : add_annotations(*votes, options.annotations, options.pairs.reader.lenient))
    manifest.inputs.push_back(std::move(input));

  NamedAggregator aggregator = chosen(*votes);
  SpooledGaps gaps = aggregate_all(*votes, aggregator);
  if (gold) gaps = calibrated(gaps, options.fit, *gold, aggregator);
  check_missing(gaps, policy.policy);
  manifest.aggregator = aggregator.description;
  manifest.inputs.insert(manifest.inputs.end(), aggregator.inputs.begin(), aggregator.inputs.end());
  const auto n_annotations = static_cast<std::int64_t>(votes->n_annotations());
  const std::string coverage = coverage_table(*votes);
  votes.reset();  // frees its memory before the next steps
  const auto lengths = of_schedule(std::move(length_differences), gaps, policy.policy);
  const SpooledSchedule schedule = mapper.map(gaps, policy);
  std::vector<report::Finding> findings;
  auto distribution = std::async(std::launch::async, [&] {
    findings = report::check_schedule(schedule, lengths, {.envelope = mapper.envelope});
    return fmt::format("Pairs by beta\n{}\n{}\n{}", report::beta_bars(schedule, mapper.envelope),
                       report::beta_table(schedule, mapper.envelope), text_of(findings));
  });
  for (auto& input : manifest.inputs) input.path = recorded_name(input.path, options.full_paths);
  manifest.counts = io::count(schedule, static_cast<std::int64_t>(gaps.size()), n_annotations);
  save_schedule(options.out, schedule, manifest, options.manifest);
  if (!options.join.empty())
    (void)save_join(options.pairs.file, schedule, options.join,
                    {.pairs = options.pairs.reader_options(),
                     .schedule_name = recorded_name(options.out, options.full_paths),
                     .overwrite = options.overwrite,
                     .all_entries = true});

  const auto& counts = manifest.counts;
  std::string text =
      text::counted(counts.pairs, "pair") + ", " + text::counted(counts.annotations, "annotation");
  if (pairs.duplicates > 0)
    text += fmt::format("; skipped {} with a duplicate id", text::counted(pairs.duplicates, "row"));
  if (counts.missing > 0)
    text += fmt::format("; {} without a gap, {}", text::counted(counts.missing, "pair"),
                        policy.policy == Missing::Policy::drop
                            ? "left out"
                            : fmt::format("given beta {}", policy.beta));
  const std::string shown_betas = distribution.get();
  if (!options.json.empty()) write_figures(options.json, manifest, findings);
  text += fmt::format("\n{}{}\n{}\nwrote {}: {}\n", aggregator.summary, coverage, shown_betas,
                      options.out, text::counted(schedule.size(), "beta"));
  fmt::print("{}", text);
}

}  // namespace

Run declare_schedule(args::Command app) {
  const auto options = std::make_shared<ScheduleOptions>();
  options->pairs.declare(app);
  options->categories.declare(app);
  declare_annotations(app, &options->annotations);
  app.section("Output");
  app.option("-o,--out", &options->out, "Schedule to write, .jsonl or .parquet")
      .file(args::FileUse::write)
      .required();
  app.option("--manifest", &options->manifest,
             "Write the manifest to this file instead of the schedule's first line")
      .file(args::FileUse::write);
  const auto join =
      app.option("--join", &options->join,
                 "Write the pairs with the columns beta and sp2dpo added, .jsonl or .parquet")
          .file(args::FileUse::write);
  app.flag("--overwrite", &options->overwrite,
           "With --join: replace existing columns of these names")
      .needs(join);
  app.option("-j,--json", &options->json, "Write counts and warnings to this file, .json")
      .file(args::FileUse::write);
  app.flag("--full-paths", &options->full_paths,
           "Name the inputs with their folders in the manifest and in --join");
  app.section("Judgments");
  app.option("--aggregator", &options->aggregator,
             "Aggregator from annotations to gaps: NAME[:key=value,...], see below")
      .show_default();
  app.section("Beta");
  app.option("--mapper", &options->mapper,
             "Mapper from gaps to betas: NAME[:key=value,...], see below")
      .show_default();
  const auto envelope =
      app.option("--envelope", &options->envelope, "Smallest and largest beta: LOW,HIGH")
          .show_default();
  const auto gap_range =
      app.option("--gap-range", &options->gap_range,
                 "Gaps that map to these betas: LOW,HIGH; others are clipped. -1,1 spreads "
                 "signed gaps over the whole envelope")
          .show_default();
  options->fit.declare(app);
  app.section("Beta");
  app.option("--missing", &options->missing, "Pairs without a gap: error, drop, or base-beta=B")
      .show_default();
  options->panel.declare(app);
  app.footer(
      list_aggregators() + "\n\n" + list_mappers() +
      "\n\nAll work on +-magnitude * confidence. The values shown for keys are their defaults.\n\n"
      "Examples:\n"
      "  sp2dpo schedule --pairs pairs.jsonl.gz --annotations annotations.jsonl --out "
      "schedule.jsonl\n"
      "  sp2dpo schedule --pairs ultrafeedback.jsonl --id-field prompt_id --duplicates first "
      "\\\n"
      "    --annotations a.jsonl --annotations b.jsonl --missing base-beta=0.1 --out "
      "schedule.jsonl\n"
      "  sp2dpo schedule --pairs p.jsonl --annotations a.jsonl --aggregator mean-median \\\n"
      "    --mapper shuffled:seed=7,of=rank --out control.jsonl");
  return [options, envelope, gap_range] {
    options->envelope_given = envelope.given();
    options->gap_range_given = gap_range.given();
    run(*options);
  };
}

}  // namespace sp2dpo::tool
