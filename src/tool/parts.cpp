// SPDX-License-Identifier: Apache-2.0
#include "parts.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "../io/json_text.hpp"
#include "command.hpp"
#include "options.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/schedule/annotator_weights.hpp>
#include <sp2dpo/schedule/centring.hpp>
#include <sp2dpo/schedule/controls.hpp>
#include <sp2dpo/stats/dawid_skene.hpp>

namespace sp2dpo::tool {

namespace {

/// `NAME[:key=value,…]`, whose values are taken out one by one: one that is left nobody knows.
class Spec {
 public:
  Spec(std::string_view option, std::string_view text) : option_(option) {
    const auto colon = text.find(':');
    name_ = text.substr(0, colon);
    if (colon == std::string_view::npos) return;
    for (auto rest = text.substr(colon + 1); !rest.empty();) {
      const auto comma = rest.find(',');
      const auto item = rest.substr(0, comma);
      rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
      const auto equals = item.find('=');
      if (equals == std::string_view::npos || equals == 0 || equals + 1 == item.size())
        throw UsageError(fmt::format("{}: expected NAME:key=value,..., not \"{}\"", what(), item));
      if (!values_.emplace(item.substr(0, equals), item.substr(equals + 1)).second)
        throw UsageError(
            fmt::format("{}: the key \"{}\" is there twice", what(), item.substr(0, equals)));
    }
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string what() const { return fmt::format("{} {}", option_, name_); }

  std::optional<std::string> text(std::string_view key) {
    known_.emplace_back(key);
    const auto found = values_.find(key);
    if (found == values_.end()) return std::nullopt;
    std::string value = std::move(found->second);
    values_.erase(found);
    return value;
  }

  double number(std::string_view key, std::optional<double> otherwise = std::nullopt) {
    const auto value = text(key);
    if (value) return parse_number(fmt::format("{}: {}", what(), key), *value);
    if (!otherwise) throw UsageError(fmt::format("{} needs {}:{}=NUMBER", what(), name_, key));
    return *otherwise;
  }

  std::uint64_t seed() {
    const auto value = text("seed");
    std::uint64_t seed = 0;
    if (!value) return seed;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), seed);
    if (error != std::errc{} || end != value->data() + value->size())
      throw UsageError(
          fmt::format("{}: seed: expected a whole number >= 0, not \"{}\"", what(), *value));
    return seed;
  }

  /// To be called when all keys were asked for.
  void finish() const {
    if (values_.empty()) return;
    throw UsageError(fmt::format(
        "{}: there is no key \"{}\"; {}", what(), values_.begin()->first,
        known_.empty() ? "it takes none" : fmt::format("there are: {}", fmt::join(known_, ", "))));
  }

 private:
  std::string_view option_;
  std::string name_;
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> known_;
};

/// The entry of that name.
template <class Table>
const auto& find(const Table& table, std::string_view option, std::string_view name) {
  const auto found = std::ranges::find(table, name, [](const auto& entry) { return entry.name; });
  if (found != std::end(table)) return *found;
  std::string names;
  for (const auto& entry : table)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", entry.name);
  throw UsageError(fmt::format("{}: there is no \"{}\"; there are: {}", option, name, names));
}

template <class Table>
std::string list(std::string_view title, const Table& table) {
  std::string text(title);
  for (const auto& entry : table)
    text += fmt::format("\n  {:<16}{}{}", entry.name, entry.meaning,
                        *entry.keys == '\0' ? "" : fmt::format("\n{:18}:{}", "", entry.keys));
  return text;
}

template <class Numbers>
std::string json_object(const Numbers& numbers) {
  std::string text;
  io::JsonWriter json(text);
  json.open('{');
  for (const auto& [name, number] : numbers) json.key(name).number(number);
  json.close('}');
  return text;
}

constexpr std::string_view aggregator_option = "--aggregator";

/// An aggregator that looks at one pair alone.
ChosenAggregator plain(MadeAggregator made) {
  return {[made = std::move(made)](const ScheduleBuilder&) { return made; }};
}

template <class A>
ChosenAggregator panel(Spec&, const AggregatorDefaults& defaults) {
  const A aggregate{.min_annotators = defaults.min_annotators, .min_prompts = defaults.min_prompts};
  return plain({aggregate, io::describe(aggregate)});
}

ChosenAggregator trimmed_mean(Spec& spec, const AggregatorDefaults& defaults) {
  PooledTrimmedMean aggregate{.min_annotators = defaults.min_annotators,
                              .min_prompts = defaults.min_prompts};
  aggregate.statistic.share = spec.number("share", aggregate.statistic.share);
  if (!(aggregate.statistic.share >= 0 && aggregate.statistic.share < 0.5))
    throw UsageError(fmt::format("{}: share must lie in [0, 0.5), not {}", spec.what(),
                                 aggregate.statistic.share));
  return plain({aggregate, io::describe(aggregate)});
}

/// The aggregator that the key `of` names, and what is put around it:
/// wrap(its MadeAggregator, the annotations) gives the whole.
template <class Wrap>
ChosenAggregator around(Spec& spec, const AggregatorDefaults& defaults, Wrap wrap) {
  auto of = choose_aggregator(spec.text("of").value_or("jmamp"), defaults);
  return {[make = std::move(of.make), name = spec.name(),
           wrap = std::move(wrap)](const ScheduleBuilder& annotations) {
    MadeAggregator made = make(annotations);
    io::PartDescription whole{name, {{"of", io::json_value(made.description)}}};
    made.description = std::move(whole);
    wrap(made, annotations);
    return made;
  }};
}

using Aggregate = decltype(MadeAggregator::aggregate);

ChosenAggregator single(Spec& spec, const AggregatorDefaults& defaults) {
  const auto annotator = spec.text("annotator");
  const auto prompt = spec.text("prompt");
  if (!annotator && !prompt)
    throw UsageError(fmt::format("{} needs annotator=NAME, prompt=NAME or both", spec.what()));
  return around(spec, defaults, [=](MadeAggregator& made, const ScheduleBuilder&) {
    if (annotator) made.description.parameters.emplace("annotator", io::json_value(*annotator));
    if (prompt) made.description.parameters.emplace("prompt", io::json_value(*prompt));
    made.aggregate =
        Single<Aggregate>{annotator.value_or(""), prompt.value_or(""), std::move(made.aggregate)};
  });
}

ChosenAggregator order_consensus(Spec& spec, const AggregatorDefaults& defaults) {
  const auto otherwise = spec.text("otherwise").value_or("tie");
  if (otherwise != "tie" && otherwise != "drop")
    throw UsageError(
        fmt::format("{}: otherwise: expected tie or drop, not \"{}\"", spec.what(), otherwise));
  return around(spec, defaults, [=](MadeAggregator& made, const ScheduleBuilder&) {
    using Consensus = OrderConsensus<Aggregate>;
    made.description.parameters.emplace("otherwise", io::json_value(otherwise));
    made.aggregate =
        Consensus{otherwise == "tie" ? Consensus::Otherwise::tie : Consensus::Otherwise::drop,
                  std::move(made.aggregate)};
  });
}

ChosenAggregator centred(Spec& spec, const AggregatorDefaults& defaults) {
  constexpr std::pair<std::string_view, Centring> ways[] = {{"none", Centring::none},
                                                            {"center", Centring::center},
                                                            {"zscore", Centring::zscore},
                                                            {"rank", Centring::rank}};
  const auto name = spec.text("how").value_or("center");
  const auto way = std::ranges::find(ways, name, [](const auto& entry) { return entry.first; });
  if (way == std::end(ways))
    throw UsageError(fmt::format("{}: how: expected none, center, zscore or rank, not \"{}\"",
                                 spec.what(), name));
  return around(spec, defaults,
                [name, how = way->second](MadeAggregator& made, const ScheduleBuilder& builder) {
                  AnswerCounts counts;
                  builder.for_each_pair([&](const auto& votes) { counts.add(votes); });
                  AnnotatorScales scales(how, counts);
                  std::map<std::string_view, double> means;
                  for (const auto& [annotator, scale] : scales.by_annotator())
                    means.emplace(annotator, scale.mean);
                  made.description.parameters.emplace("how", io::json_value(name));
                  made.description.parameters.emplace("means", json_object(means));
                  made.aggregate = Centred<Aggregate>{std::move(scales), std::move(made.aggregate)};
                });
}

ChosenAggregator dawid_skene(Spec& spec, const AggregatorDefaults& defaults) {
  return around(
      spec, defaults,
      [n = defaults.n_categories](MadeAggregator& made, const ScheduleBuilder& builder) {
        stats::DawidSkeneFit fit(n);
        builder.for_each_pair([&](const auto& votes) { fit.add(votes); });
        stats::DawidSkene model = fit.fit();
        made.description.parameters.emplace("converged", model.converged() ? "true" : "false");
        made.description.parameters.emplace("iterations", std::to_string(model.iterations()));
        made.aggregate =
            WithCategory<Aggregate, stats::DawidSkene>{std::move(made.aggregate), std::move(model)};
      });
}

MadeAggregator weighted_jmamp(std::string name, const AggregatorDefaults& defaults,
                              AnnotatorWeights weights) {
  io::PartDescription description{std::move(name),
                                  {{"min_annotators", std::to_string(defaults.min_annotators)},
                                   {"min_prompts", std::to_string(defaults.min_prompts)},
                                   {"weights", json_object(weights)}}};
  return {WeightedJmamp{.min_annotators = defaults.min_annotators,
                        .min_prompts = defaults.min_prompts,
                        .weights = std::move(weights)},
          std::move(description)};
}

ChosenAggregator reliability(Spec& spec, const AggregatorDefaults& defaults) {
  return {[name = spec.name(), defaults](const ScheduleBuilder& annotations) {
    LeaveOneOut fit;
    annotations.for_each_pair([&](const auto& votes) { fit.add(votes); });
    return weighted_jmamp(name, defaults, fit.weights());
  }};
}

/// A weight for each of the annotators, and for nobody else.
AnnotatorWeights read_weights(io::CsvReader& rows, const std::set<std::string>& annotators) {
  const auto annotator = rows.column("annotator"), weight = rows.column("weight");
  AnnotatorWeights weights;
  while (rows.next()) {
    const std::string& name = rows.cell(annotator);
    if (!annotators.contains(name))
      rows.fail(annotator, fmt::format("no annotation is by {}; there are: {}", name,
                                       fmt::join(annotators, ", ")));
    const auto number = rows.number(weight);
    if (!number || *number < 0)
      rows.fail(weight, fmt::format("a weight is a number >= 0, not \"{}\"", rows.cell(weight)));
    if (!weights.emplace(name, *number).second)
      rows.fail(annotator, fmt::format("a second weight for {}", name));
  }
  return weights;
}

ChosenAggregator weighted(Spec& spec, const AggregatorDefaults& defaults) {
  const auto table = spec.text("table");
  if (!table) throw UsageError(fmt::format("{} needs table=FILE.csv", spec.what()));
  return {[name = spec.name(), file = *table, defaults](const ScheduleBuilder& annotations) {
    std::set<std::string> annotators;
    annotations.for_each_pair([&](const auto& votes) {
      for (const auto& vote : votes) annotators.insert(vote.annotator);
    });
    io::CsvReader rows(file);
    auto weights = read_weights(rows, annotators);
    for (const auto& annotator : annotators)
      if (!weights.contains(annotator))
        throw DataError(file, 0, "annotator", fmt::format("there is no weight for {}", annotator));
    const auto n = std::ssize(weights);
    auto made = weighted_jmamp(name, defaults, std::move(weights));
    made.inputs.push_back({"weights", file, rows.sha256(), n});
    return made;
  }};
}

struct AggregatorEntry {
  const char* name;
  const char* keys;
  const char* meaning;
  ChosenAggregator (*make)(Spec&, const AggregatorDefaults&);
};

constexpr AggregatorEntry aggregators[] = {
    {"jmamp", "", "median over prompts, mean over annotators", panel<Jmamp>},
    {"mean-mean", "", "mean over prompts, mean over annotators", panel<MeanMean>},
    {"median-median", "", "median over prompts, median over annotators", panel<MedianMedian>},
    {"mean-median", "", "mean over prompts, median over annotators", panel<MeanMedian>},
    {"pooled-median", "", "median of all answers", panel<PooledMedian>},
    {"trimmed-mean", "share=0.2", "mean of all answers without that share at either end",
     trimmed_mean},
    {"single", "annotator=A,prompt=P,of=jmamp", "one annotator, one prompt, or both", single},
    {"order-consensus", "otherwise=tie|drop,of=jmamp",
     "only what was asked in both orders; verdicts that turn become ties", order_consensus},
    {"centred", "how=center|zscore|rank|none,of=jmamp",
     "each annotator's gaps brought to the panel's mean (and spread), or to ranks", centred},
    {"weighted", "table=FILE.csv", "as jmamp, with a weight for each annotator", weighted},
    {"reliability", "", "as jmamp, weighted by each annotator's correlation with the others",
     reliability},
    {"dawid-skene", "of=jmamp", "the category by the annotators' error rates, the gap by `of`",
     dawid_skene},
};

constexpr std::string_view mapper_option = "--mapper";

ChosenMapper linear(Spec&, const MapperDefaults& defaults) {
  return {[](SpooledSchedule schedule) { return schedule; }, io::describe(defaults.linear),
          defaults.linear.envelope()};
}

template <class M>
ChosenMapper remapped(const M& mapper, io::PartDescription description, Interval envelope) {
  return {[mapper](const SpooledSchedule& schedule) { return remap(schedule, mapper); },
          std::move(description), envelope};
}

ChosenMapper category(Spec& spec, const MapperDefaults& defaults) {
  std::vector<Linear> maps;
  Interval hull = defaults.linear.envelope();
  for (const auto& name : defaults.categories.names()) {
    Interval envelope = defaults.linear.envelope();
    if (const auto value = spec.text(name)) {
      const auto dots = value->find("..");
      if (dots == std::string::npos)
        throw UsageError(
            fmt::format("{}: {}: expected LOW..HIGH, not \"{}\"", spec.what(), name, *value));
      const auto key = fmt::format("{}: {}", spec.what(), name);
      envelope = {parse_number(key, value->substr(0, dots)),
                  parse_number(key, value->substr(dots + 2))};
    }
    maps.emplace_back(envelope, defaults.linear.gap_range());
    hull = {std::min(hull.low, envelope.low), std::max(hull.high, envelope.high)};
  }
  const ByCategory mapper(std::move(maps));
  return remapped(mapper, io::describe(mapper, defaults.categories), hull);
}

ChosenMapper logistic(Spec& spec, const MapperDefaults& defaults) {
  const Logistic standard;
  const Logistic mapper(spec.number("midpoint", standard.midpoint()),
                        spec.number("slope", standard.slope()), defaults.linear.envelope());
  return remapped(mapper, io::describe(mapper), mapper.envelope());
}

ChosenMapper rank(Spec&, const MapperDefaults& defaults) {
  const Interval envelope = defaults.linear.envelope();
  return {[envelope](SpooledSchedule schedule) {
            auto gaps = gap_values(schedule);
            if (gaps.empty()) return schedule;  // every beta is the one stated for that
            return remap(schedule, Rank(std::move(gaps), envelope));
          },
          io::describe(Rank({0}, envelope)), envelope};
}

ChosenMapper constant(Spec& spec, const MapperDefaults& defaults) {
  const Constant mapper(spec.number("beta"));
  return remapped(mapper, io::describe(mapper), defaults.linear.envelope());
}

ChosenMapper random_beta(Spec& spec, const MapperDefaults& defaults) {
  const auto seed = spec.seed();
  const Interval envelope = defaults.linear.envelope();
  auto description = io::describe(Rank({0}, envelope));
  description.name = spec.name();
  description.parameters.emplace("seed", std::to_string(seed));
  return {[=](const SpooledSchedule& schedule) { return randomized(schedule, seed, envelope); },
          std::move(description), envelope};
}

/// A mapper made of another one's schedule and envelope.
template <class Control>
ChosenMapper control(Spec& spec, const MapperDefaults& defaults, Control make) {
  auto of = choose_mapper(spec.text("of").value_or("linear"), defaults);
  return {[map = std::move(of.map), envelope = of.envelope, make](SpooledSchedule schedule) {
            return make(map(std::move(schedule)), envelope);
          },
          {spec.name(), {{"of", io::json_value(of.description)}}},
          of.envelope};
}

ChosenMapper mean(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults, [](const SpooledSchedule& schedule, Interval) {
    return remap(schedule, Constant(mean_beta(schedule)));
  });
}

ChosenMapper inverted_betas(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults, inverted<SpooledSchedule>);
}

ChosenMapper shuffled_betas(Spec& spec, const MapperDefaults& defaults) {
  const auto seed = spec.seed();
  auto chosen = control(spec, defaults, [seed](const SpooledSchedule& schedule, Interval) {
    return shuffled(schedule, seed);
  });
  chosen.description.parameters.emplace("seed", std::to_string(seed));
  return chosen;
}

ChosenMapper weight(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults,
                 [](const SpooledSchedule& schedule, Interval) { return weighted(schedule); });
}

struct MapperEntry {
  const char* name;
  const char* keys;
  const char* meaning;
  bool uses_envelope;
  bool uses_gap_range;
  ChosenMapper (*make)(Spec&, const MapperDefaults&);
};

constexpr MapperEntry mappers[] = {
    {"linear", "", "linear in the gap, clipped", true, true, linear},
    {"category", "NAME=LOW..HIGH,...", "linear, with envelopes of their own for some categories",
     true, true, category},
    {"logistic", "midpoint=0.5,slope=8", "S-shaped in the gap", true, false, logistic},
    {"rank", "", "by the gap's rank among all: a flat histogram", true, false, rank},
    {"constant", "beta=B", "the same beta for all", false, false, constant},
    {"mean", "of=linear", "control: all get the mean of another mapper's betas", true, true, mean},
    {"random", "seed=0", "control: drawn evenly from the envelope, by pair id", true, false,
     random_beta},
    {"shuffled", "seed=0,of=linear", "control: another mapper's betas, dealt to other pairs", true,
     true, shuffled_betas},
    {"inverted", "of=linear", "control: large betas for small gaps", true, true, inverted_betas},
    {"weight", "of=linear", "control: weights beta / mean in place of betas", true, true, weight},
};

}  // namespace

void AggregatorDefaults::declare(CLI::App& app) {
  app.add_option("--min-annotators", min_annotators, "Fewer annotators than this make no gap")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--min-prompts", min_prompts,
                 "An annotator that answered fewer prompts does not count")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

ChosenAggregator choose_aggregator(std::string_view text, const AggregatorDefaults& defaults) {
  Spec spec(aggregator_option, text);
  auto chosen = find(aggregators, aggregator_option, spec.name()).make(spec, defaults);
  spec.finish();
  return chosen;
}

ChosenMapper choose_mapper(std::string_view text, const MapperDefaults& defaults) {
  Spec spec(mapper_option, text);
  const auto& entry = find(mappers, mapper_option, spec.name());
  if (defaults.envelope_given && !entry.uses_envelope)
    throw UsageError(fmt::format("{} has no use for --envelope", spec.what()));
  if (defaults.gap_range_given && !entry.uses_gap_range)
    throw UsageError(fmt::format("{} has no use for --gap-range", spec.what()));
  try {
    auto chosen = entry.make(spec, defaults);
    spec.finish();
    return chosen;
  } catch (const InvalidArgument& error) {
    throw UsageError(fmt::format("{}: {}", spec.what(), error.what()));
  }
}

std::vector<std::string> plain_aggregators() {
  std::vector<std::string> names;
  for (const auto& entry : aggregators) {
    const std::string_view keys = entry.keys;
    if (!keys.starts_with("annotator=") && !keys.starts_with("table="))
      names.emplace_back(entry.name);
  }
  return names;
}

std::string list_aggregators() {
  return list("Aggregators, --aggregator NAME[:key=value,...]", aggregators);
}

std::string list_mappers() {
  return list("Mappers, --mapper NAME[:key=value,...]", mappers);
}

}  // namespace sp2dpo::tool
