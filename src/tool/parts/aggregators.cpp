// SPDX-License-Identifier: Apache-2.0
#include "parts/aggregators.hpp"

#include <cstddef>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "command.hpp"
#include "named_files.hpp"
#include "parts/spec.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/schedule/annotator_weights.hpp>
#include <sp2dpo/schedule/centring.hpp>
#include <sp2dpo/stats/dawid_skene.hpp>

namespace sp2dpo::tool {

namespace {

/// `{"NAME":NUMBER,…}`
template <class Numbers>
io::Json::Object json_object(const Numbers& numbers) {
  return {numbers.begin(), numbers.end()};
}

constexpr std::string_view aggregator_option = "--aggregator";

/// An aggregator that depends on one pair only.
AggregatorMaker plain(NamedAggregator made) {
  return {[made = std::move(made)](const VoteTable&) { return made; }};
}

template <class A>
AggregatorMaker panel(Spec&, const AggregatorDefaults& defaults) {
  const A aggregate{.min_annotators = defaults.min_annotators, .min_prompts = defaults.min_prompts};
  return plain({aggregate, io::describe(aggregate)});
}

AggregatorMaker trimmed_mean(Spec& spec, const AggregatorDefaults& defaults) {
  PooledTrimmedMean aggregate{.min_annotators = defaults.min_annotators,
                              .min_prompts = defaults.min_prompts};
  aggregate.statistic.share = spec.number("share", aggregate.statistic.share);
  if (!(aggregate.statistic.share >= 0 && aggregate.statistic.share < 0.5))
    throw UsageError(fmt::format("{}: share must lie in [0, 0.5), not {}", spec.what(),
                                 aggregate.statistic.share));
  return plain({aggregate, io::describe(aggregate)});
}

/// Builds the aggregator that the key `of` names, then calls wrap(aggregator, annotations) to
/// extend it.
template <class Wrap>
AggregatorMaker around(Spec& spec, const AggregatorDefaults& defaults, Wrap wrap) {
  auto of = choose_aggregator(spec.text("of").value_or("jmamp"), defaults);
  return {[make = std::move(of), name = spec.name(),
           wrap = std::move(wrap)](const VoteTable& annotations) {
    NamedAggregator made = make(annotations);
    io::PartDescription whole{name, {{"of", io::to_json(made.description)}}};
    made.description = std::move(whole);
    wrap(made, annotations);
    return made;
  }};
}

using Aggregate = decltype(NamedAggregator::aggregate);

AggregatorMaker single(Spec& spec, const AggregatorDefaults& defaults) {
  const auto annotator = spec.text("annotator");
  const auto prompt = spec.text("prompt");
  if (!annotator && !prompt)
    throw UsageError(fmt::format("{} needs annotator=NAME, prompt=NAME or both", spec.what()));
  return around(spec, defaults, [=](NamedAggregator& made, const VoteTable&) {
    if (annotator) made.description.parameters.emplace("annotator", *annotator);
    if (prompt) made.description.parameters.emplace("prompt", *prompt);
    made.aggregate =
        Single<Aggregate>{annotator.value_or(""), prompt.value_or(""), std::move(made.aggregate)};
  });
}

AggregatorMaker order_consensus(Spec& spec, const AggregatorDefaults& defaults) {
  const auto otherwise = spec.text("otherwise").value_or("tie");
  if (otherwise != "tie" && otherwise != "drop")
    throw UsageError(
        fmt::format("{}: otherwise: expected tie or drop, not \"{}\"", spec.what(), otherwise));
  return around(spec, defaults, [=](NamedAggregator& made, const VoteTable&) {
    using Consensus = OrderConsensus<Aggregate>;
    made.description.parameters.emplace("otherwise", otherwise);
    made.aggregate =
        Consensus{otherwise == "tie" ? Consensus::Otherwise::tie : Consensus::Otherwise::drop,
                  std::move(made.aggregate)};
  });
}

AggregatorMaker centred(Spec& spec, const AggregatorDefaults& defaults) {
  const auto name = spec.text("how").value_or("center");
  const auto how = find_enum<Centring>(name);
  if (!how)
    throw UsageError(fmt::format("{}: how: {}", spec.what(), expected_name<Centring>(name)));
  return around(spec, defaults,
                [name, how = *how](NamedAggregator& made, const VoteTable& builder) {
                  AnswerCounts counts;
                  builder.for_each_pair([&](const auto& votes) { counts.add(votes); });
                  AnnotatorScales scales(how, counts);
                  std::map<std::string_view, double> means;
                  for (const auto& [annotator, scale] : scales.by_annotator())
                    means.emplace(annotator, scale.mean);
                  made.description.parameters.emplace("how", name);
                  made.description.parameters.emplace("means", json_object(means));
                  made.aggregate = Centred<Aggregate>{std::move(scales), std::move(made.aggregate)};
                });
}

AggregatorMaker dawid_skene(Spec& spec, const AggregatorDefaults& defaults) {
  return around(
      spec, defaults, [n = defaults.n_categories](NamedAggregator& made, const VoteTable& builder) {
        stats::DawidSkeneFit fit(n);
        builder.for_each_pair([&](const auto& votes) { fit.add(votes); });
        stats::DawidSkene model = fit.fit();
        made.description.parameters.emplace("converged", model.converged());
        made.description.parameters.emplace("iterations", model.iterations());
        made.aggregate =
            WithCategory<Aggregate, stats::DawidSkene>{std::move(made.aggregate), std::move(model)};
      });
}

NamedAggregator weighted_jmamp(std::string name, const AggregatorDefaults& defaults,
                               AnnotatorWeights weights) {
  io::PartDescription description{std::move(name),
                                  {{"min_annotators", defaults.min_annotators},
                                   {"min_prompts", defaults.min_prompts},
                                   {"weights", json_object(weights)}}};
  return {WeightedJmamp{.min_annotators = defaults.min_annotators,
                        .min_prompts = defaults.min_prompts,
                        .weights = std::move(weights)},
          std::move(description)};
}

AggregatorMaker reliability(Spec& spec, const AggregatorDefaults& defaults) {
  return {[name = spec.name(), defaults](const VoteTable& annotations) {
    LeaveOneOut fit;
    annotations.for_each_pair([&](const auto& votes) { fit.add(votes); });
    return weighted_jmamp(name, defaults, fit.weights());
  }};
}

/// Reads the weights of annotators; other names are an error.
AnnotatorWeights read_weights(io::CsvReader& rows, const std::set<std::string>& annotators) {
  const auto annotator = rows.column("annotator"), weight = rows.column("weight");
  AnnotatorWeights weights;
  while (rows.next()) {
    const std::string& name = rows.cell(annotator);
    if (!annotators.contains(name))
      rows.fail(annotator, fmt::format("unknown annotator {}; the annotations have: {}", name,
                                       fmt::join(annotators, ", ")));
    const auto number = rows.number(weight);
    if (!number || *number < 0)
      rows.fail(weight, fmt::format("expected a weight >= 0, not \"{}\"", rows.cell(weight)));
    if (!weights.emplace(name, *number).second)
      rows.fail(annotator, fmt::format("duplicate weight for {}", name));
  }
  return weights;
}

AggregatorMaker weighted(Spec& spec, const AggregatorDefaults& defaults) {
  const auto table = spec.text("table");
  if (!table) throw UsageError(fmt::format("{} needs table=FILE.csv", spec.what()));
  named_files().add(args::FileUse::read, fmt::format("the table of {}", spec.what()), *table);
  return {[name = spec.name(), file = *table, defaults](const VoteTable& annotations) {
    std::set<std::string> annotators;
    annotations.for_each_pair([&](const auto& votes) {
      for (const auto& vote : votes) annotators.insert(vote.annotator);
    });
    io::CsvReader rows(file);
    auto weights = read_weights(rows, annotators);
    for (const auto& annotator : annotators)
      if (!weights.contains(annotator))
        throw DataError(file, 0, "annotator", fmt::format("missing weight for {}", annotator));
    const auto n = std::ssize(weights);
    auto made = weighted_jmamp(name, defaults, std::move(weights));
    made.inputs.push_back({"weights", file, rows.sha256(), n});
    return made;
  }};
}

struct AggregatorEntry {
  std::string_view name;
  std::string_view keys;
  std::string_view meaning;
  AggregatorMaker (*make)(Spec&, const AggregatorDefaults&);
  bool needs_key = false;
};

constexpr AggregatorEntry aggregators[] = {
    {io::part_name<Jmamp>, "", "median over prompts, mean over annotators", panel<Jmamp>},
    {io::part_name<MeanMean>, "", "mean over prompts, mean over annotators", panel<MeanMean>},
    {io::part_name<MedianMedian>, "", "median over prompts, median over annotators",
     panel<MedianMedian>},
    {io::part_name<MeanMedian>, "", "mean over prompts, median over annotators", panel<MeanMedian>},
    {io::part_name<PooledMedian>, "", "median of all annotations", panel<PooledMedian>},
    {io::part_name<PooledTrimmedMean>, "share=0.2",
     "mean of all annotations without that share at either end", trimmed_mean},
    {"single", "annotator=A,prompt=P,of=jmamp", "one annotator, one prompt, or both", single, true},
    {"order-consensus", "otherwise=tie|drop,of=jmamp",
     "annotations in both orders only; preferences that flip become ties", order_consensus},
    {"centred", "how=center|zscore|rank|none,of=jmamp",
     "gaps shifted to the panel's mean (and scaled to its spread), or ranked, by annotator",
     centred},
    {"weighted", "table=FILE.csv", "jmamp with a weight per annotator", weighted, true},
    {"reliability", "", "jmamp, weighted by each annotator's correlation with the others",
     reliability},
    {"dawid-skene", "of=jmamp", "category from the annotators' error rates, gap from `of`",
     dawid_skene},
};

}  // namespace

void AggregatorDefaults::declare(args::Command app) {
  app.section("Judgments");
  app.option("--min-annotators", &min_annotators, "Fewest annotators for a gap")
      .positive()
      .show_default();
  app.option("--min-prompts", &min_prompts, "Fewest prompts for an annotator to count")
      .positive()
      .show_default();
}

AggregatorMaker choose_aggregator(std::string_view text, const AggregatorDefaults& defaults) {
  Spec spec(aggregator_option, text);
  auto chosen = find(aggregators, aggregator_option, spec.name()).make(spec, defaults);
  spec.finish();
  return chosen;
}

std::vector<std::string> plain_aggregators() {
  std::vector<std::string> names;
  for (const auto& entry : aggregators)
    if (!entry.needs_key) names.emplace_back(entry.name);
  return names;
}

std::string list_aggregators() {
  return list("Aggregators, --aggregator NAME[:key=value,...]", aggregators);
}

}  // namespace sp2dpo::tool
