// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../io/json_text.hpp"
#include "command.hpp"
#include "options.hpp"
#include "progress.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/jmamp.hpp>
#include <sp2dpo/stats/agreement.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::tool {

namespace {

using stats::Agreement;
using stats::Estimate;
using stats::Scale;

struct Options {
  CategoryOptions categories;
  std::string annotations;
  std::string ratings;
  std::string json;
  stats::Bootstrap bootstrap;
};

/// Names in the order in which they first came.
class Names {
 public:
  std::size_t place(const std::string& name) {
    const auto [found, fresh] = places_.try_emplace(name, list_.size());
    if (fresh) list_.push_back(name);
    return found->second;
  }
  [[nodiscard]] const std::vector<std::string>& list() const { return list_; }

 private:
  std::vector<std::string> list_;
  std::unordered_map<std::string, std::size_t> places_;
};

struct Table {
  stats::Ratings ratings;
  std::vector<std::string> raters;
  std::vector<double> categories{};  // all that there are; empty: those that occur
  std::string nominal_because{};     // why nothing but nominal figures is defined; empty: more is
};

// ---- What is shown ------------------------------------------------------------------------------

/// A figure of two raters.
struct Paired {
  std::size_t a, b;
  Estimate estimate;
};

/// Figures by the place that they have in the JSON file, such as krippendorff_alpha.nominal.
struct Figures {
  std::map<std::string, std::map<std::string, Estimate>> groups{};
  std::map<std::string, Estimate> single{};
  std::map<std::string, std::vector<Paired>> paired{};
};

template <class Statistic>
std::vector<Paired> of_all_pairs(const Table& table, Statistic statistic) {
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
  figures.paired["cohen_kappa"] =
      of_all_pairs(table, [](const auto& a, const auto& b) { return stats::cohen_kappa(a, b); });
}

void add_metric(Figures& figures, const Table& table, const stats::Bootstrap& bootstrap) {
  const auto figure = [&](auto compute) {
    return table.nominal_because.empty() ? compute()
                                         : Estimate::undefined(table.nominal_because, 0);
  };
  figures.groups["krippendorff_alpha"]["interval"] =
      figure([&] { return krippendorff_alpha(table.ratings, Scale::interval, bootstrap); });
  const auto icc = table.nominal_because.empty() ? stats::icc(table.ratings) : stats::Icc{};
  for (std::size_t form = 0; form < 3; ++form) {
    figures.groups["icc"][fmt::format("{},1", form + 1)] = figure([&] { return icc.single[form]; });
    figures.groups["icc"][fmt::format("{},k", form + 1)] = figure([&] { return icc.mean[form]; });
  }
  figures.paired["spearman"] = of_all_pairs(table, [&](const auto& a, const auto& b) {
    return figure([&] { return stats::spearman(a, b); });
  });
  figures.paired["kendall_tau_b"] = of_all_pairs(table, [&](const auto& a, const auto& b) {
    return figure([&] { return stats::kendall_tau_b(a, b); });
  });
}

void add_other_scales(Figures& figures, const Table& table, const stats::Bootstrap& bootstrap) {
  const auto figure = [&](auto compute) {
    return table.nominal_because.empty() ? compute()
                                         : Estimate::undefined(table.nominal_because, 0);
  };
  for (const auto& [name, scale] : {std::pair("ordinal", Scale::ordinal), {"ratio", Scale::ratio}})
    figures.groups["krippendorff_alpha"][name] =
        figure([&] { return krippendorff_alpha(table.ratings, scale, bootstrap); });
  for (const auto& [name, agreement] :
       {std::pair("linear", Agreement::linear), {"quadratic", Agreement::quadratic}})
    figures.groups["gwet_ac2"][name] =
        figure([&] { return gwet_ac(table.ratings, agreement, table.categories, bootstrap); });
}

void write_value(io::JsonWriter& json, const std::optional<double>& value) {
  if (value)
    json.number(*value);
  else
    json.raw("null");
}

void write_reason(io::JsonWriter& json, const std::string& reason) {
  if (reason.empty())
    json.raw("null");
  else
    json.text(reason);
}

void write_json(io::JsonWriter& json, const Estimate& estimate) {
  json.open('{');
  json.key("ci");
  if (estimate.ci) {
    json.open('[');
    json.item().number(estimate.ci->low);
    json.item().number(estimate.ci->high);
    json.close(']');
  } else {
    json.raw("null");
  }
  json.key("n").integer(estimate.n);
  json.key("reason");
  write_reason(json, estimate.reason);
  json.key("value");
  write_value(json, estimate.value);
  json.close('}');
}

/// The keys of one block, without its braces; sorted by name.
void write_json(io::JsonWriter& json, const Figures& figures,
                const std::vector<std::string>& raters) {
  std::set<std::string> names;
  for (const auto& [name, group] : figures.groups) names.insert(name);
  for (const auto& [name, estimate] : figures.single) names.insert(name);
  for (const auto& [name, list] : figures.paired) names.insert(name);
  for (const auto& name : names) {
    json.key(name);
    if (const auto group = figures.groups.find(name); group != figures.groups.end()) {
      json.open('{');
      for (const auto& [key, estimate] : group->second) write_json(json.key(key), estimate);
      json.close('}');
    } else if (const auto single = figures.single.find(name); single != figures.single.end()) {
      write_json(json, single->second);
    } else {
      json.open('[');
      for (const auto& [a, b, estimate] : figures.paired.at(name)) {
        json.item().open('{');
        json.key("a").text(raters[a]);
        json.key("b").text(raters[b]);
        json.key("n").integer(estimate.n);
        json.key("reason");
        write_reason(json, estimate.reason);
        json.key("value");
        write_value(json, estimate.value);
        json.close('}');
      }
      json.close(']');
    }
  }
}

std::string shown(const Estimate& estimate) {
  if (!estimate.value) return fmt::format("undefined: {}", estimate.reason);
  std::string text = fmt::format("{:8.4f}", *estimate.value);
  if (estimate.ci) text += fmt::format("  [{:.4f}, {:.4f}]", estimate.ci->low, estimate.ci->high);
  return text;
}

void print(const std::string& title, const Figures& figures,
           const std::vector<std::string>& raters) {
  fmt::print("\n{}\n", title);
  const auto line = [](const std::string& name, const Estimate& estimate) {
    fmt::print("  {:<32}{:>8}  {}\n", name, estimate.n, shown(estimate));
  };
  fmt::print("  {:<32}{:>8}  {:>8}\n", "", "units", "value");
  for (const auto& [name, group] : figures.groups)
    for (const auto& [key, estimate] : group) line(name + " " + key, estimate);
  for (const auto& [name, estimate] : figures.single) line(name, estimate);
  constexpr std::size_t most = 20;
  for (const auto& [name, list] : figures.paired) {
    fmt::print("  {}\n", name);
    for (std::size_t i = 0; i < std::min(most, list.size()); ++i)
      line(fmt::format("  {} - {}", raters[list[i].a], raters[list[i].b]), list[i].estimate);
    if (list.size() > most) fmt::print("    and {} more pairs of raters\n", list.size() - most);
  }
}

void save(const std::string& file, std::string json) {
  if (file.empty()) return;
  json += '\n';
  io::OutputFile out(file);
  out.write(json);
  out.commit();
}

// ---- A table that people have -------------------------------------------------------------------

std::optional<double> number(const std::string& text) {
  double value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Table read_table(const Options& options) {
  struct Cell {
    std::size_t unit, rater, value;
  };
  io::CsvReader rows(options.ratings);
  const auto unit_column = rows.column("unit");
  const auto rater_column = rows.column("rater");
  const auto value_column = rows.column("value");
  Names units, raters, values;
  std::vector<Cell> cells;
  std::set<std::string> allowed(options.categories.names.begin(), options.categories.names.end());
  std::unordered_map<std::size_t, std::set<std::size_t>> there;  // raters by unit
  while (rows.next()) {
    for (const auto column : {unit_column, rater_column})
      if (rows.cell(column).empty()) rows.fail(column, "is blank");
    const std::size_t unit = units.place(rows.cell(unit_column));
    const std::size_t rater = raters.place(rows.cell(rater_column));
    if (!there[unit].insert(rater).second)
      rows.fail(rater_column, fmt::format("a second value for the unit {} by {}",
                                          rows.cell(unit_column), rows.cell(rater_column)));
    const std::string& value = rows.cell(value_column);
    if (value.empty()) continue;
    if (!allowed.empty() && !allowed.contains(value))
      rows.fail(value_column, fmt::format("\"{}\" is none of --categories", value));
    if (number(value)) (void)rows.number(value_column);  // refuses what is not finite
    cells.push_back({unit, rater, values.place(value)});
  }
  if (units.list().empty()) throw DataError(options.ratings, 0, "", "has no ratings");

  Table table{.ratings = {units.list().size(), raters.list().size()}, .raters = raters.list()};
  const auto& names = allowed.empty() ? values.list() : options.categories.names;
  const auto text = std::ranges::find_if(names, [](const auto& name) { return !number(name); });
  if (text != names.end())
    table.nominal_because = fmt::format("\"{}\" is no number, so the values are names", *text);
  std::vector<double> codes;
  for (std::size_t i = 0; i < values.list().size(); ++i)
    codes.push_back(text == names.end() ? *number(values.list()[i]) : static_cast<double>(i));
  for (const auto& cell : cells) table.ratings.set(cell.unit, cell.rater, codes[cell.value]);
  for (const auto& name : options.categories.names)
    table.categories.push_back(text == names.end() ? *number(name)
                                                   : static_cast<double>(values.place(name)));
  return table;
}

void run_ratings(const Options& options) {
  const Table table = read_table(options);
  Figures figures;
  add_nominal(figures, table, options.bootstrap);
  add_metric(figures, table, options.bootstrap);
  add_other_scales(figures, table, options.bootstrap);
  std::string text;
  io::JsonWriter json(text);
  json.open('{');
  write_json(json, figures, table.raters);
  json.close('}');
  save(options.json, std::move(text));
  print(fmt::format("Agreement of {} raters on {} units, with 95 % intervals", table.raters.size(),
                    table.ratings.n_units()),
        figures, table.raters);
}

// ---- Annotations --------------------------------------------------------------------------------

/// Gaps and categories by unit and rater.
struct Panel {
  Table gaps;
  Table categories;
};

/// `by_prompt` picks one prompt; empty: each annotator's median over its prompts.
Panel panel_of(const std::vector<Annotation>& annotations, const std::string* prompt,
               const Categories& categories) {
  Names units, raters;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Annotation>> votes;
  for (const auto& annotation : annotations)
    if (prompt == nullptr || annotation.prompt == *prompt)
      votes[{units.place(annotation.pair_id), raters.place(annotation.annotator)}].push_back(
          annotation);
  const stats::Ratings empty(units.list().size(), raters.list().size());
  Panel panel{{empty, raters.list()}, {empty, raters.list()}};
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

void add_panel(io::JsonWriter& json, const Panel& panel, const std::string& title,
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

void run_annotations(const Options& options) {
  const Categories categories = options.categories.categories();
  std::vector<Annotation> annotations;
  std::set<std::string> prompts;
  {
    io::AnnotationReader reader(options.annotations, {categories});
    Progress progress(reader);
    for (Annotation annotation; reader.next(annotation); progress.row()) {
      prompts.insert(annotation.prompt);
      annotations.push_back(annotation);
      annotations.back().rationale.clear();
      annotations.back().meta.clear();
    }
  }
  std::string text;
  io::JsonWriter json(text);
  json.open('{');
  json.key("all").open('{');
  add_panel(json, panel_of(annotations, nullptr, categories), "Annotators, over their prompts",
            options.bootstrap);
  json.close('}');
  json.key("by_prompt").open('{');
  for (const auto& prompt : prompts) {
    json.key(prompt).open('{');
    add_panel(json, panel_of(annotations, &prompt, categories), "Prompt " + prompt,
              options.bootstrap);
    json.close('}');
  }
  json.close('}');
  json.close('}');
  save(options.json, std::move(text));
}

}  // namespace

Run declare_agree(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->categories.declare(app);
  auto* const annotations =
      app.add_option("--annotations", options->annotations, "Annotations, .jsonl or .jsonl.gz");
  app.add_option("--ratings", options->ratings,
                 "CSV with the columns unit, rater, value; a blank value is missing")
      ->excludes(annotations);
  app.add_option("--json", options->json, "File for the figures");
  app.add_option("--replicates", options->bootstrap.replicates,
                 "Resamples of the units for the intervals; 0 for none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--seed", options->bootstrap.seed, "Of the resamples")->capture_default_str();
  app.footer(
      "With --ratings, --categories are all values that a rater can choose from [those seen].\n\n"
      "Example:\n"
      "  sp2dpo agree --ratings ratings.csv --json agreement.json");
  return [options] {
    if (options->annotations.empty() == options->ratings.empty())
      throw UsageError("agree needs either --annotations or --ratings");
    options->ratings.empty() ? run_annotations(*options) : run_ratings(*options);
  };
}

}  // namespace sp2dpo::tool
