// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "command.hpp"
#include "input/annotations.hpp"
#include "input/pairs.hpp"
#include "named_files.hpp"
#include "output/dataset_card.hpp"
#include "output/files.hpp"
#include "output/findings.hpp"
#include "parts/calibration.hpp"
#include "parts/mappers.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/report/page.hpp>
#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/stats/agreement.hpp>

namespace sp2dpo::tool {

namespace {

constexpr int found_something = 5;  // the status of --check

struct ReportOptions {
  std::string schedule;
  PairOptions pairs;
  std::vector<std::string> annotations;
  bool check = false;
  std::string high_disagreement;
  std::uint64_t n_high_disagreement = 50;
  std::string page;
  std::string pictures;
  std::string card;
  std::string croissant;
  std::string name;
  std::string license;
  std::string json;
  bool full_paths = false;
  stats::Bootstrap bootstrap;
};

/// Warns about a file that the schedule's manifest does not name.
void warn_if_another(const io::ScheduleFile& file, const io::InputFile& input) {
  if (!file.manifest) return;
  const auto& inputs = file.manifest->inputs;
  if (std::ranges::find(inputs, input.sha256, &io::InputFile::sha256) == inputs.end())
    fmt::print(stderr, "{}: its SHA-256 is not in the schedule's manifest\n", input.path);
}

/// By pair in the schedule's order, chosen minus rejected.
std::vector<double> read_lengths(const ReportOptions& options, const io::ScheduleFile& file) {
  const auto entries = file.schedule.entries();
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> lengths(entries.size(), unknown);
  const auto pairs = read_pairs(options.pairs, [&](const PreferencePair& pair) {
    if (const auto* const entry = file.schedule.find(pair.id))
      lengths[static_cast<std::size_t>(entry - entries.data())] = length_difference(pair);
  });
  warn_if_another(file, pairs.file);
  for (std::size_t i = 0; i < lengths.size(); ++i)
    if (std::isnan(lengths[i]))
      throw DataError(options.pairs.file, 0, "",
                      fmt::format("lacks the pair {} of the schedule", entries[i].id));
  return lengths;
}

/// The annotations of the schedule's pairs. Those of other pairs, which a policy for missing gaps
/// has left out, are passed over.
void add_own_annotations(const ReportOptions& options, const io::ScheduleFile& file,
                         VoteTable& builder) {
  for (const auto& path : options.annotations) {
    const auto input =
        read_annotations(path, {file.schedule.categories(), options.pairs.reader.lenient},
                         [&](const Annotation& annotation, io::AnnotationReader& reader) {
                           if (builder.has(annotation.pair_id))
                             (void)io::add_to(builder, annotation, reader);
                         });
    warn_if_another(file, input);
  }
  if (builder.n_annotations() == 0)
    throw DataError(options.annotations.front(), 0, "", "has nothing on the schedule's pairs");
}

/// The ratings of all annotators side by side.
struct PanelView {
  std::vector<report::AnnotatorGaps> annotators;
  stats::Ratings gaps;
  stats::Ratings categories;
};

PanelView view_of(const VoteTable& builder) {
  struct Cell {
    std::uint32_t pair;
    std::uint32_t annotator;
    double gap;
    double category;
  };
  std::map<std::string, std::uint32_t, std::less<>> numbers;
  std::vector<report::AnnotatorGaps> found;
  std::vector<Cell> cells;
  std::uint32_t pair = 0;
  builder.for_each_pair([&](std::span<const Annotation> votes) {
    std::map<std::uint32_t, std::vector<Annotation>> by_annotator;
    for (const auto& vote : votes) {
      const auto [place, fresh] =
          numbers.try_emplace(vote.annotator, static_cast<std::uint32_t>(found.size()));
      if (fresh) found.push_back({.name = vote.annotator});
      found[place->second].add(signed_gap(vote));
      by_annotator[place->second].push_back(vote);
    }
    for (const auto& [annotator, own] : by_annotator)
      if (const auto gap = Jmamp{}(own))
        cells.push_back({pair, annotator, gap->value, static_cast<double>(gap->category)});
    ++pair;
  });

  std::vector<std::size_t> place(found.size());
  PanelView view{{}, {pair, found.size()}, {pair, found.size()}};
  for (const auto& [name, number] : numbers) {  // by name
    place[number] = view.annotators.size();
    view.annotators.push_back(std::move(found[number]));
  }
  for (const auto& cell : cells) {
    view.gaps.set(cell.pair, place[cell.annotator], cell.gap);
    view.categories.set(cell.pair, place[cell.annotator], cell.category);
  }
  return view;
}

std::vector<report::AgreementFigure> agreement_of(const PanelView& view, const stats::Icc& icc,
                                                  const Categories& names,
                                                  const stats::Bootstrap& bootstrap) {
  std::vector<double> categories;
  for (std::size_t i = 0; i < names.size(); ++i) categories.push_back(static_cast<double>(i));
  const char* const gaps = "Signed gaps, over each annotator's prompts";
  const char* const named = "Categories";
  return {{gaps, "Krippendorff's alpha, interval",
           krippendorff_alpha(view.gaps, stats::Scale::interval, bootstrap)},
          {gaps, "ICC(2,1), one annotator", icc.single[1]},
          {gaps, "ICC(2,k), mean of the annotators", icc.mean[1]},
          {gaps, "ICC(3,k), their levels aside", icc.mean[2]},
          {named, "Krippendorff's alpha, nominal",
           krippendorff_alpha(view.categories, stats::Scale::nominal, bootstrap)},
          {named, "Gwet's AC1",
           gwet_ac(view.categories, stats::Agreement::identity, categories, bootstrap)},
          {named, "Fleiss' kappa", fleiss_kappa(view.categories, bootstrap)}};
}

/// Writes the pairs on which the annotators disagree most, one line per pair, highest disagreement
/// first and, among equals, smallest gap first.
void write_high_disagreement(const ReportOptions& options, const Schedule& schedule,
                             const VoteTable& builder) {
  std::vector<const ScheduleEntry*> order;
  for (const auto& entry : schedule.entries())
    if (entry.gap && entry.gap->n_annotators > 1) order.push_back(&entry);
  std::ranges::stable_sort(order, [](const ScheduleEntry* a, const ScheduleEntry* b) {
    return std::pair(-a->gap->spread, std::abs(a->gap->value)) <
           std::pair(-b->gap->spread, std::abs(b->gap->value));
  });
  order.resize(std::min(order.size(), options.n_high_disagreement));
  std::map<std::string, std::vector<Annotation>, std::less<>> votes;
  std::map<std::string, PreferencePair, std::less<>> texts;
  for (const auto* const entry : order) votes[entry->id];
  builder.for_each_pair([&](std::span<const Annotation> group) {
    if (const auto found = votes.find(group.front().pair_id); found != votes.end())
      found->second.assign(group.begin(), group.end());
  });
  if (!options.pairs.file.empty()) {
    io::PairReader reader = open_pairs(options.pairs);
    for (PreferencePair pair; reader.next(pair);)
      if (votes.contains(pair.id)) texts.insert_or_assign(pair.id, pair);
  }

  io::OutputFile out(checked_output(options.high_disagreement));
  std::string line;
  for (const auto* const entry : order) {
    line.clear();
    text::JsonWriter json(line);
    const auto text = texts.find(entry->id);
    json.open('{');
    json.key("annotations").open('[');
    for (const auto& vote : votes[entry->id]) {
      json.item().open('{');
      json.key("annotator").text(vote.annotator);
      json.key("category").text(schedule.categories().name(vote.category));
      json.key("gap").number(signed_gap(vote));
      json.key("prompt").text(vote.prompt);
      json.close('}');
    }
    json.close(']');
    json.key("beta").number(entry->beta);
    json.key("category").text(schedule.categories().name(entry->gap->category));
    if (text != texts.end()) text::append(json.key("chosen"), text->second.chosen);
    json.key("gap").number(entry->gap->value);
    json.key("id").text(entry->id);
    if (text != texts.end()) {
      text::append(json.key("prompt"), text->second.prompt);
      text::append(json.key("rejected"), text->second.rejected);
    }
    json.key("spread").number(entry->gap->spread);
    json.close('}');
    text::require_utf8(line);
    line += '\n';
    out.write(line);
  }
  out.commit();
}

report::Page page_of(const io::ScheduleFile& file, bool full_paths) {
  report::Page page;
  page.facts.emplace_back("pairs with a beta", std::to_string(file.schedule.size()));
  if (!file.manifest) return page;
  const auto& manifest = *file.manifest;
  page.envelope = envelope_of(manifest.mapper).value_or(Linear::default_envelope);
  const auto& counts = manifest.counts;
  for (const auto& [name, value] : {std::pair{"pairs read", counts.pairs},
                                    {"annotations", counts.annotations},
                                    {"pairs without a gap", counts.missing},
                                    {"gaps clipped at the lower end", counts.clipped_low},
                                    {"gaps clipped at the upper end", counts.clipped_high}})
    page.facts.emplace_back(name, std::to_string(value));
  page.reliability = reliability_of(manifest.aggregator);
  for (const auto& input : manifest.inputs)
    page.sources.push_back(
        {input.role, recorded_name(input.path, full_paths), input.sha256, input.rows});
  for (const auto& [name, part] : {std::pair{"aggregator", &manifest.aggregator},
                                   {"mapper", &manifest.mapper},
                                   {"missing gaps", &manifest.missing}})
    page.parameters.emplace_back(name, io::to_json(*part).text());
  page.parameters.emplace_back("program", manifest.program);
  return page;
}

void write_pictures(const std::filesystem::path& folder, const Schedule& schedule,
                    const report::Page& page) {
  std::filesystem::create_directories(folder);
  const report::HistogramOptions options{.envelope = page.envelope};
  save((folder / "beta_histogram.svg").string(), report::beta_histogram_svg(schedule, options));
  save((folder / "beta_ecdf.svg").string(), report::beta_ecdf_svg(schedule, options));
  if (!page.annotators.empty())
    save((folder / "annotators.svg").string(), report::annotator_gaps_svg(page.annotators));
  if (!page.reliability.empty())
    save((folder / "reliability.svg").string(), report::reliability_svg(page.reliability));
}

/// The charts that write_pictures() may write.
void add_pictures(const std::filesystem::path& folder) {
  for (const char* const name :
       {"beta_histogram.svg", "beta_ecdf.svg", "annotators.svg", "reliability.svg"})
    named_files().add(args::FileUse::write, fmt::format("--svg (for its {})", name), folder / name);
}

std::string checks_json(const std::vector<report::Finding>& checks) {
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  write_json(json.key("checks"), checks);
  json.close('}');
  return text + '\n';
}

void run(const ReportOptions& options) {
  if (!options.pictures.empty()) add_pictures(options.pictures);
  const io::ScheduleFile file = io::read_schedule(rows_of(options.schedule));
  const Schedule& schedule = file.schedule;
  if (schedule.size() == 0) throw DataError(options.schedule, 0, "", "has no pairs");
  report::Page page = page_of(file, options.full_paths);
  page.title = options.name;
  page.sources.push_back({"schedule", recorded_name(options.schedule, options.full_paths),
                          file.sha256, static_cast<std::int64_t>(schedule.size())});

  report::Evidence evidence;
  std::vector<double> lengths;
  if (!options.pairs.file.empty()) {
    lengths = read_lengths(options, file);
    evidence.length_differences = lengths;
  }
  PairIds ids;
  for (const auto& entry : schedule.entries()) ids.add(entry.id);
  VoteTable builder(std::move(ids), schedule.categories(), max_in_memory);
  if (!options.annotations.empty()) {
    add_own_annotations(options, file, builder);
    PanelView view = view_of(builder);
    const stats::Icc icc = stats::icc(view.gaps);
    evidence.reliability = icc.mean[0];
    if (!options.page.empty() || !options.card.empty() || !options.croissant.empty())
      page.agreement = agreement_of(view, icc, schedule.categories(), options.bootstrap);
    page.annotators = std::move(view.annotators);
  }
  page.checks = report::all_checks(schedule, evidence, {.envelope = page.envelope});

  if (!options.high_disagreement.empty()) write_high_disagreement(options, schedule, builder);
  if (!options.pictures.empty()) write_pictures(options.pictures, schedule, page);
  if (!options.page.empty()) save(options.page, report::html_page(schedule, page));
  const Publication publication{
      options.name, std::filesystem::path(options.schedule).filename().string(), options.license};
  if (!options.card.empty()) save(options.card, dataset_card(file, page, publication));
  if (!options.croissant.empty()) save(options.croissant, croissant(file, page, publication));

  if (!options.json.empty()) save(options.json, checks_json(page.checks));
  const auto found =
      std::ranges::count(page.checks, report::CheckResult::warn, &report::Finding::result);
  for (const auto& check : page.checks) fmt::print("{}", shown(check));
  if (options.check && found > 0)
    throw Unfinished(found_something,
                     fmt::format("{} of {} checks found something", found, page.checks.size()));
}

}  // namespace

Run declare_report(args::Command app) {
  const auto options = std::make_shared<ReportOptions>();
  options->pairs.declare(app, PairOptions::Need::optional);
  app.section("Input");
  app.option("-s,--schedule", &options->schedule, "Schedule, .jsonl, .jsonl.gz or .parquet")
      .file(args::FileUse::read)
      .required();
  const auto annotations =
      app.option("-a,--annotations", &options->annotations,
                 "Annotations that it was made of, .jsonl, .jsonl.gz or .parquet; may be repeated")
          .file(args::FileUse::read);
  app.section("Output");
  app.flag("--check", &options->check, "Exit with status 5 if a check warns");
  auto high_disagreement = app.option("--high-disagreement", &options->high_disagreement,
                                      "File for the pairs on which judges disagree most, .jsonl")
                               .file(args::FileUse::write)
                               .needs(annotations);
  app.option("--high-disagreement-pairs", &options->n_high_disagreement, "Number of these pairs")
      .needs(high_disagreement)
      .show_default();
  const auto contested = app.option("--contested", &options->high_disagreement, "Old name")
                             .file(args::FileUse::write)
                             .needs(annotations)
                             .excludes(high_disagreement)
                             .group("");
  const auto contested_pairs =
      app.option("--contested-pairs", &options->n_high_disagreement, "Old name")
          .needs(contested)
          .group("");
  app.option("-o,--out", &options->page, "HTML report, .html").file(args::FileUse::write);
  app.option("--svg", &options->pictures, "Folder for the report's charts, as SVG files")
      .file(args::FileUse::write_folder);
  app.option("--card", &options->card, "Dataset card, README.md for the Hugging Face Hub")
      .file(args::FileUse::write);
  app.option("--croissant", &options->croissant, "Croissant metadata, .json")
      .file(args::FileUse::write);
  app.option("--name", &options->name,
             "Name of the data set, and title of the report [the file's]");
  app.option("--license", &options->license, "Licence for --card and --croissant [none is named]");
  app.option("-j,--json", &options->json, "Write the checks to this file, .json")
      .file(args::FileUse::write);
  app.flag("--full-paths", &options->full_paths,
           "Name the inputs with their folders in the report and the card");
  app.section("Statistics");
  app.option("--replicates", &options->bootstrap.replicates,
             "Resamples of the pairs for the agreement's intervals; 0 for none")
      .non_negative()
      .show_default();
  app.option("--seed", &options->bootstrap.seed, "Seed of the resamples").show_default();
  app.footer(
      "Without --pairs the report leaves out lengths; without --annotations it leaves out the "
      "panel.\n\n"
      "Example:\n"
      "  sp2dpo report --schedule schedule.jsonl --pairs pairs.jsonl --annotations "
      "annotations.jsonl \\\n    --out report.html --check");
  return [options, contested, contested_pairs] {
    for (const auto& [option, old_name, new_name] :
         {std::tuple{contested, "--contested", "--high-disagreement"},
          std::tuple{contested_pairs, "--contested-pairs", "--high-disagreement-pairs"}})
      if (option.given()) fmt::print(stderr, "{} is now called {}\n", old_name, new_name);
    if (options->name.empty())
      options->name = std::filesystem::path(options->schedule).stem().string();
    run(*options);
  };
}

}  // namespace sp2dpo::tool
