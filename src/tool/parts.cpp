// SPDX-License-Identifier: Apache-2.0
#include "parts.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "command.hpp"
#include "options.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/controls.hpp>

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

constexpr std::string_view aggregator_option = "--aggregator";

template <class A>
ChosenAggregator panel(Spec&, const AggregatorDefaults& defaults) {
  const A aggregate{.min_annotators = defaults.min_annotators, .min_prompts = defaults.min_prompts};
  return {aggregate, io::describe(aggregate)};
}

ChosenAggregator trimmed_mean(Spec& spec, const AggregatorDefaults& defaults) {
  PooledTrimmedMean aggregate{.min_annotators = defaults.min_annotators,
                              .min_prompts = defaults.min_prompts};
  aggregate.statistic.share = spec.number("share", aggregate.statistic.share);
  if (!(aggregate.statistic.share >= 0 && aggregate.statistic.share < 0.5))
    throw UsageError(fmt::format("{}: share must lie in [0, 0.5), not {}", spec.what(),
                                 aggregate.statistic.share));
  return {aggregate, io::describe(aggregate)};
}

ChosenAggregator inner_aggregator(Spec& spec, const AggregatorDefaults& defaults) {
  return choose_aggregator(spec.text("of").value_or("jmamp"), defaults);
}

ChosenAggregator single(Spec& spec, const AggregatorDefaults& defaults) {
  const auto annotator = spec.text("annotator");
  const auto prompt = spec.text("prompt");
  if (!annotator && !prompt)
    throw UsageError(fmt::format("{} needs annotator=NAME, prompt=NAME or both", spec.what()));
  auto of = inner_aggregator(spec, defaults);
  io::PartDescription description{spec.name(), {{"of", io::json_value(of.description)}}};
  if (annotator) description.parameters.emplace("annotator", io::json_value(*annotator));
  if (prompt) description.parameters.emplace("prompt", io::json_value(*prompt));
  return {Single<decltype(of.aggregate)>{annotator.value_or(""), prompt.value_or(""),
                                         std::move(of.aggregate)},
          std::move(description)};
}

ChosenAggregator order_consensus(Spec& spec, const AggregatorDefaults& defaults) {
  const auto otherwise = spec.text("otherwise").value_or("tie");
  if (otherwise != "tie" && otherwise != "drop")
    throw UsageError(
        fmt::format("{}: otherwise: expected tie or drop, not \"{}\"", spec.what(), otherwise));
  auto of = inner_aggregator(spec, defaults);
  using Consensus = OrderConsensus<decltype(of.aggregate)>;
  io::PartDescription description{
      spec.name(),
      {{"of", io::json_value(of.description)}, {"otherwise", io::json_value(otherwise)}}};
  return {Consensus{otherwise == "tie" ? Consensus::Otherwise::tie : Consensus::Otherwise::drop,
                    std::move(of.aggregate)},
          std::move(description)};
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
};

constexpr std::string_view mapper_option = "--mapper";

ChosenMapper linear(Spec&, const MapperDefaults& defaults) {
  return {[](Schedule schedule) { return schedule; }, io::describe(defaults.linear),
          defaults.linear.envelope()};
}

template <class M>
ChosenMapper remapped(const M& mapper, io::PartDescription description, Interval envelope) {
  return {[mapper](const Schedule& schedule) { return remap(schedule, mapper); },
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
  return {[envelope](Schedule schedule) {
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
  return {[=](const Schedule& schedule) { return randomized(schedule, seed, envelope); },
          std::move(description), envelope};
}

/// A mapper made of another one's schedule and envelope.
template <class Control>
ChosenMapper control(Spec& spec, const MapperDefaults& defaults, Control make) {
  auto of = choose_mapper(spec.text("of").value_or("linear"), defaults);
  return {[map = std::move(of.map), envelope = of.envelope, make](Schedule schedule) {
            return make(map(std::move(schedule)), envelope);
          },
          {spec.name(), {{"of", io::json_value(of.description)}}},
          of.envelope};
}

ChosenMapper mean(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults, [](const Schedule& schedule, Interval) {
    return remap(schedule, Constant(mean_beta(schedule)));
  });
}

ChosenMapper inverted_betas(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults, inverted);
}

ChosenMapper shuffled_betas(Spec& spec, const MapperDefaults& defaults) {
  const auto seed = spec.seed();
  auto chosen = control(spec, defaults, [seed](const Schedule& schedule, Interval) {
    return shuffled(schedule, seed);
  });
  chosen.description.parameters.emplace("seed", std::to_string(seed));
  return chosen;
}

ChosenMapper weight(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults,
                 [](const Schedule& schedule, Interval) { return weighted(schedule); });
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

std::string list_aggregators() {
  return list("Aggregators, --aggregator NAME[:key=value,...]", aggregators);
}

std::string list_mappers() {
  return list("Mappers, --mapper NAME[:key=value,...]", mappers);
}

}  // namespace sp2dpo::tool
