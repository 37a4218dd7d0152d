// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "command.hpp"
#include "input/annotations.hpp"
#include "input/gold.hpp"
#include "input/pairs.hpp"
#include "named_files.hpp"
#include "output/figures.hpp"
#include "parts/aggregators.hpp"
#include "parts/calibration.hpp"
#include "text/counted.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/stats/mean.hpp>

namespace sp2dpo::tool {

namespace {

struct CompareOptions {
  PairOptions pairs;
  CategoryOptions categories;
  std::vector<std::string> annotations;
  std::string gold;
  std::vector<std::string> aggregators;
  std::string json;
  AggregatorDefaults panel;
  stats::Bootstrap bootstrap;
};

/// The score of one aggregator on the pairs with gold labels.
struct Row {
  std::string spec;
  std::string failure{};        // why it could not be built; empty on success
  std::vector<double> right{};  // by gold pair: 1, 0, or 0.5 for a tie or missing gap
  std::int64_t ties = 0;
  std::int64_t without_gap = 0;
  stats::Estimate accuracy{};
  stats::Estimate difference{};  // to the first aggregator, paired
};

/// Every aggregator without required keys, and each annotator alone.
std::vector<std::string> all_aggregators(const VoteTable& builder) {
  auto specs = plain_aggregators();
  specs.emplace_back("centred:how=zscore");
  std::set<std::string> annotators;
  builder.for_each_pair([&](std::span<const Annotation> votes) {
    for (const auto& vote : votes) annotators.insert(vote.annotator);
  });
  for (const auto& annotator : annotators)
    if (annotator.find(',') == std::string::npos) specs.push_back("single:annotator=" + annotator);
  return specs;
}

Row judge(Row row, const AggregatorMaker& chosen, const VoteTable& builder,
          const std::vector<GoldLabel>& gold) {
  NamedAggregator made;
  try {
    made = chosen(builder);
  } catch (const InvalidArgument& error) {
    row.failure = error.what();
    return row;
  }
  std::unordered_map<std::string_view, double> gaps;
  for (const auto& label : gold) gaps.emplace(label.pair_id, 0);
  row.without_gap = std::ssize(gold);
  builder.for_each_pair([&](std::span<const Annotation> votes) {
    const auto place = gaps.find(votes.front().pair_id);
    if (place == gaps.end()) return;
    const auto gap = made.aggregate(votes);
    if (!gap) return;
    --row.without_gap;
    place->second = gap->value;
    row.ties += std::abs(gap->value) <= tie_below;
  });
  for (const auto& label : gold) {
    const double gap = gaps.at(label.pair_id);
    const double side = std::abs(gap) <= tie_below ? 0 : std::copysign(1.0, gap);
    row.right.push_back((1 + side * label.preferred) / 2);
  }
  return row;
}

void estimate(std::vector<Row>& rows, const stats::Bootstrap& bootstrap) {
  for (auto& row : rows) {
    if (!row.failure.empty()) {
      row.accuracy = row.difference = stats::Estimate::undefined(row.failure, 0);
      continue;
    }
    row.accuracy = stats::mean(row.right, bootstrap);
    if (!rows.front().failure.empty()) {
      row.difference = stats::Estimate::undefined("the first aggregator is undefined", 0);
      continue;
    }
    std::vector<double> differences = row.right;
    for (std::size_t i = 0; i < differences.size(); ++i) differences[i] -= rows.front().right[i];
    row.difference = stats::mean(differences, bootstrap);
  }
}

void print(const std::vector<Row>& rows) {
  std::size_t widest = 10;
  for (const auto& row : rows) widest = std::max(widest, row.spec.size());
  fmt::print("{:{}}  {:>8}  {:<18}  {:>7}  {:<18}  {:>6}  {:>6}\n", "", widest, "accuracy", "95 %",
             "points", "95 %", "ties", "no gap");
  for (const auto& row : rows) {
    fmt::print("{:{}}", row.spec, widest);
    if (!row.accuracy.value) {
      fmt::print("  undefined: {}\n", row.failure);
      continue;
    }
    const auto interval = [](const stats::Estimate& of, double unit, int digits) {
      return of.ci ? fmt::format("[{:.{}f}, {:.{}f}]", unit * of.ci->low, digits,
                                 unit * of.ci->high, digits)
                   : std::string();
    };
    fmt::print("  {:>8.4f}  {:<18}  {:>7}  {:<18}  {:>6}  {:>6}\n", *row.accuracy.value,
               interval(row.accuracy, 1, 4),
               row.difference.value ? fmt::format("{:+.1f}", 100 * *row.difference.value) : "-",
               interval(row.difference, 100, 1), row.ties, row.without_gap);
  }
}

std::string to_json(const std::vector<Row>& rows, const CompareOptions& options, const Gold& gold,
                    std::size_t gold_ties) {
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  json.key("aggregators").open('[');
  for (const auto& row : rows) {
    json.item().open('{');
    json.key("accuracy");
    write_json(json, row.accuracy);
    json.key("aggregator").text(row.spec);
    json.key("difference");
    write_json(json, row.difference);
    json.key("ties").integer(row.ties);
    json.key("without_gap").integer(row.without_gap);
    json.close('}');
  }
  json.close(']');
  json.key("gold").open('{');
  json.key("path").text(gold.file.path);
  json.key("rows").integer(gold.file.rows);
  json.key("sha256").text(gold.file.sha256);
  json.key("ties").integer(static_cast<std::int64_t>(gold_ties));
  json.close('}');
  json.key("replicates").integer(options.bootstrap.replicates);
  json.key("seed").raw(std::to_string(options.bootstrap.seed));
  json.close('}');
  text += '\n';
  return text;
}

void run(const CompareOptions& options) {
  const Categories categories = options.categories.categories();
  AggregatorDefaults defaults = options.panel;
  defaults.n_categories = categories.size();
  for (const auto& spec : options.aggregators) (void)choose_aggregator(spec, defaults);

  VoteTable builder(read_pairs(options.pairs).ids, categories, max_in_memory);
  Gold gold = read_gold(options.gold, builder.ids());
  const auto gold_ties =
      std::erase_if(gold.labels, [](const GoldLabel& label) { return label.preferred == 0; });
  if (gold.labels.empty()) throw DataError(options.gold, 0, "preferred", "holds only ties");
  add_annotations(builder, options.annotations, options.pairs.reader.lenient);

  std::vector<Row> rows;
  for (const auto& spec :
       options.aggregators.empty() ? all_aggregators(builder) : options.aggregators)
    rows.push_back(judge({.spec = spec}, choose_aggregator(spec, defaults), builder, gold.labels));
  estimate(rows, options.bootstrap);

  fmt::print("{} with a gold label", text::counted(gold.labels.size(), "pair"));
  if (gold_ties > 0) fmt::print("; {} left out", text::counted(gold_ties, "gold tie"));
  fmt::print(
      "\nThe sign of the gap is the prediction; ties and missing gaps count half. Points are the "
      "paired "
      "difference to {}.\n\n",
      rows.front().spec);
  print(rows);
  if (options.json.empty()) return;
  save(options.json, to_json(rows, options, gold, gold_ties));
}

}  // namespace

Run declare_compare(args::Command app) {
  const auto options = std::make_shared<CompareOptions>();
  options->pairs.declare(app);
  options->categories.declare(app);
  declare_annotations(app, &options->annotations);
  app.section("Input");
  app.option("--gold", &options->gold,
             "CSV with the columns pair_id, preferred (chosen, rejected or tie)")
      .file(args::FileUse::read)
      .required();
  app.section("Judgments");
  app.option("--aggregator", &options->aggregators,
             "Aggregator, as for `schedule`; may be repeated, and the first is the reference "
             "[all without required keys, and each annotator alone]");
  options->panel.declare(app);
  app.section("Statistics");
  app.option("--replicates", &options->bootstrap.replicates,
             "Bootstrap resamples of the pairs for the intervals; 0 omits the intervals")
      .non_negative()
      .show_default();
  app.option("--seed", &options->bootstrap.seed, "Seed of the resampling").show_default();
  app.section("Output");
  app.option("-j,--json", &options->json, "Write the figures to this file, .json")
      .file(args::FileUse::write);
  app.footer(list_aggregators() +
             "\n\nExample:\n"
             "  sp2dpo compare --pairs p.jsonl --annotations a.jsonl --gold gold.csv \\\n"
             "    --aggregator jmamp --aggregator reliability");
  return [options] { run(*options); };
}

}  // namespace sp2dpo::tool
