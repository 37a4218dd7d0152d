// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "command.hpp"
#include "input/annotations.hpp"
#include "input/pairs.hpp"
#include "input/ratings_table.hpp"
#include "named_files.hpp"
#include "output/figures.hpp"
#include "text/counted.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/stats/agreement.hpp>
#include <sp2dpo/stats/diagnostics.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::tool {

namespace {

using stats::Agreement;
using stats::Estimate;
using stats::Scale;

struct AgreeOptions {
  PairOptions pairs;
  CategoryOptions categories;
  std::string annotations;
  std::string ratings;
  std::string json;
  stats::Bootstrap bootstrap;
};

template <class Statistic>
std::vector<Paired> for_each_rater_pair(const Table& table, Statistic statistic) {
  std::vector<Paired> result;
  std::vector<double> x, y;
  for (std::size_t a = 0; a < table.raters.size(); ++a)
    for (std::size_t b = a + 1; b < table.raters.size(); ++b) {
      x.clear();
      y.clear();
      for (std::size_t unit = 0; unit < table.ratings.n_units(); ++unit) {
        const auto first = table.ratings.at(unit, a), second = table.ratings.at(unit, b);
        if (!first || !second) continue;
        x.push_back(*first);
        y.push_back(*second);
      }
      result.push_back({a, b, statistic(x, y)});
    }
  return result;
}

void add_nominal(Figures& figures, const Table& table, const stats::Bootstrap& bootstrap) {
  figures.groups["krippendorff_alpha"]["nominal"] =
      krippendorff_alpha(table.ratings, Scale::nominal, bootstrap);
  figures.single["fleiss_kappa"] = fleiss_kappa(table.ratings, bootstrap);
  figures.single["gwet_ac1"] =
      gwet_ac(table.ratings, Agreement::identity, table.categories, bootstrap);
  figures.paired["cohen_kappa"] = for_each_rater_pair(
      table, [](const auto& a, const auto& b) { return stats::cohen_kappa(a, b); });
}

void add_metric(Figures& figures, const Table& table, const stats::Bootstrap& bootstrap) {
  const auto figure = [&](auto compute) {
    return table.nominal_reason.empty() ? compute() : Estimate::undefined(table.nominal_reason, 0);
  };
  figures.groups["krippendorff_alpha"]["interval"] =
      figure([&] { return krippendorff_alpha(table.ratings, Scale::interval, bootstrap); });
  const auto icc = table.nominal_reason.empty() ? stats::icc(table.ratings) : stats::Icc{};
  for (std::size_t form = 0; form < 3; ++form) {
    figures.groups["icc"][fmt::format("{},1", form + 1)] = figure([&] { return icc.single[form]; });
    figures.groups["icc"][fmt::format("{},k", form + 1)] = figure([&] { return icc.mean[form]; });
  }
  figures.paired["spearman"] = for_each_rater_pair(table, [&](const auto& a, const auto& b) {
    return figure([&] { return stats::spearman(a, b); });
  });
  figures.paired["kendall_tau_b"] = for_each_rater_pair(table, [&](const auto& a, const auto& b) {
    return figure([&] { return stats::kendall_tau_b(a, b); });
  });
}

void add_other_scales(Figures& figures, const Table& table, const stats::Bootstrap& bootstrap) {
  const auto figure = [&](auto compute) {
    return table.nominal_reason.empty() ? compute() : Estimate::undefined(table.nominal_reason, 0);
  };
  for (const auto& [name, scale] : {std::pair("ordinal", Scale::ordinal), {"ratio", Scale::ratio}})
    figures.groups["krippendorff_alpha"][name] =
        figure([&] { return krippendorff_alpha(table.ratings, scale, bootstrap); });
  for (const auto& [name, agreement] :
       {std::pair("linear", Agreement::linear), {"quadratic", Agreement::quadratic}})
    figures.groups["gwet_ac2"][name] =
        figure([&] { return gwet_ac(table.ratings, agreement, table.categories, bootstrap); });
}

void save_json(const std::string& file, std::string json) {
  if (file.empty()) return;
  json += '\n';
  save(file, json);
}

void run_ratings(const AgreeOptions& options) {
  const Table table = read_table(options.ratings, options.categories.names);
  Figures figures;
  add_nominal(figures, table, options.bootstrap);
  add_metric(figures, table, options.bootstrap);
  add_other_scales(figures, table, options.bootstrap);
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  write_json(json, figures, table.raters);
  json.close('}');
  save_json(options.json, std::move(text));
  print(fmt::format("Agreement of {} raters on {} units, with 95 % intervals", table.raters.size(),
                    table.ratings.n_units()),
        figures, table.raters);
}

/// Gaps and categories by pair and annotator.
struct RatingsByRater {
  Table gaps;
  Table categories;
};

/// The ratings under one prompt, or each annotator's median over its prompts if `prompt` is null.
RatingsByRater ratings_by_rater(const std::vector<Annotation>& annotations,
                                const std::string* prompt, const Categories& categories) {
  Names units, raters;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Annotation>> votes;
  for (const auto& annotation : annotations)
    if (prompt == nullptr || annotation.prompt == *prompt)
      votes[{units.place(annotation.pair_id), raters.place(annotation.annotator)}].push_back(
          annotation);
  const stats::Ratings empty(units.list().size(), raters.list().size());
  RatingsByRater panel{{empty, raters.list()}, {empty, raters.list()}};
  for (std::size_t i = 0; i < categories.size(); ++i)
    panel.categories.categories.push_back(static_cast<double>(i));
  for (const auto& [place, group] : votes) {
    const auto gap = Jmamp{}(group);
    if (!gap) continue;
    panel.gaps.ratings.set(place.first, place.second, gap->value);
    panel.categories.ratings.set(place.first, place.second, static_cast<double>(gap->category));
  }
  return panel;
}

void add_panel(text::JsonWriter& json, const RatingsByRater& panel, const std::string& title,
               const stats::Bootstrap& bootstrap) {
  Figures categories, gaps;
  add_nominal(categories, panel.categories, bootstrap);
  add_metric(gaps, panel.gaps, bootstrap);
  json.key("categories").open('{');
  write_json(json, categories, panel.categories.raters);
  json.close('}');
  json.key("gaps").open('{');
  write_json(json, gaps, panel.gaps.raters);
  json.close('}');
  print(title + ": categories", categories, panel.categories.raters);
  print(title + ": signed gaps", gaps, panel.gaps.raters);
}

using Lengths = std::unordered_map<std::string, double>;

/// Length of chosen minus rejected, by pair.
Lengths read_lengths(const PairOptions& options) {
  Lengths lengths;
  read_pairs(options, [&](const PreferencePair& pair) {
    lengths.emplace(pair.id, length_difference(pair));
  });
  return lengths;
}

void add_diagnostics(text::JsonWriter& json, std::span<const Annotation> annotations,
                     const Lengths& lengths, const std::string& title) {
  stats::DiagnosticsOptions options{.n_pairs = std::ssize(lengths)};
  if (!lengths.empty())
    options.length_difference = [&](std::string_view id) {
      const auto found = lengths.find(std::string(id));
      if (found == lengths.end()) throw Error(fmt::format("annotation of unknown pair {}", id));
      return found->second;
    };
  json.key("annotators").open('{');
  fmt::print("\n{}: each annotator alone\n", title);
  for (const auto& [annotator, found] : stats::diagnose(annotations, options)) {
    const std::pair<const char*, const stats::Estimate*> figures[] = {
        {"first_preferred", &found.first_preferred},
        {"leave_one_out", &found.leave_one_out},
        {"length_correlation", &found.length_correlation},
        {"longer_preferred", &found.longer_preferred},
        {"mean_shift", &found.mean_shift},
        {"parse_rate", &found.parse_rate},
        {"positional_agreement", &found.positional_agreement}};
    json.key(annotator).open('{');
    fmt::print("  {}, {}\n", annotator, text::counted(found.annotations, "annotation"));
    for (const auto& [name, estimate] : figures) {
      write_json(json.key(name), *estimate);
      fmt::print("    {:<30}{:>8}  {}\n", name, estimate->n, shown(*estimate));
    }
    json.close('}');
  }
  json.close('}');
}

void run_annotations(const AgreeOptions& options) {
  const Categories categories = options.categories.categories();
  std::vector<Annotation> annotations;
  std::set<std::string> prompts;
  read_annotations(options.annotations, {categories, options.pairs.reader.lenient},
                   [&](const Annotation& annotation, io::AnnotationReader&) {
                     prompts.insert(annotation.prompt);
                     annotations.push_back(annotation);
                     annotations.back().rationale.clear();
                     annotations.back().meta.clear();
                   });
  const Lengths lengths = options.pairs.file.empty() ? Lengths{} : read_lengths(options.pairs);
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  json.key("all").open('{');
  const std::string title = "Annotators, over their prompts";
  add_diagnostics(json, annotations, lengths, title);
  add_panel(json, ratings_by_rater(annotations, nullptr, categories), title, options.bootstrap);
  json.close('}');
  json.key("by_prompt").open('{');
  for (const auto& prompt : prompts) {
    json.key(prompt).open('{');
    std::vector<Annotation> under_it;
    std::ranges::copy_if(annotations, std::back_inserter(under_it),
                         [&](const Annotation& vote) { return vote.prompt == prompt; });
    add_diagnostics(json, under_it, lengths, "Prompt " + prompt);
    add_panel(json, ratings_by_rater(annotations, &prompt, categories), "Prompt " + prompt,
              options.bootstrap);
    json.close('}');
  }
  json.close('}');
  json.close('}');
  save_json(options.json, std::move(text));
}

}  // namespace

Run declare_agree(args::Command app) {
  const auto options = std::make_shared<AgreeOptions>();
  options->pairs.declare(app, PairOptions::Need::optional);
  options->categories.declare(app);
  app.section("Input");
  const auto annotations = app.option("-a,--annotations", &options->annotations,
                                      "Annotations, .jsonl, .jsonl.gz or .parquet")
                               .file(args::FileUse::read);
  app.option("--ratings", &options->ratings,
             "CSV with the columns unit, rater, value; a blank value is missing")
      .file(args::FileUse::read)
      .excludes(annotations)
      .excludes("--pairs");
  app.section("Output");
  app.option("-j,--json", &options->json, "Write the figures to this file, .json")
      .file(args::FileUse::write);
  app.section("Statistics");
  app.option("--replicates", &options->bootstrap.replicates,
             "Bootstrap resamples of the units for the intervals; 0 omits the intervals")
      .non_negative()
      .show_default();
  app.option("--seed", &options->bootstrap.seed, "Seed of the resampling").show_default();
  app.footer(
      "With --ratings, --categories lists all values that raters can choose from [those that "
      "occur].\n"
      "With --annotations, --pairs adds the number of pairs and the lengths of the responses.\n\n"
      "Example:\n"
      "  sp2dpo agree --ratings ratings.csv --json agreement.json");
  return [options] {
    if (options->annotations.empty() == options->ratings.empty())
      throw UsageError("agree needs either --annotations or --ratings");
    options->ratings.empty() ? run_annotations(*options) : run_ratings(*options);
  };
}

}  // namespace sp2dpo::tool
