// SPDX-License-Identifier: Apache-2.0
#include "parts/mappers.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "command.hpp"
#include "input/numbers.hpp"
#include "parts/spec.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/schedule/controls.hpp>

namespace sp2dpo::tool {

namespace {

constexpr std::string_view mapper_option = "--mapper";

template <class M>
NamedMapper plain(const M& mapper, io::PartDescription description, Interval envelope) {
  return {[mapper](const SpooledGaps& gaps, const Missing& missing) {
            return map_gaps(gaps, mapper, missing);
          },
          std::move(description), envelope};
}

NamedMapper linear(Spec&, const MapperDefaults& defaults) {
  return plain(defaults.linear, io::describe(defaults.linear), defaults.linear.envelope());
}

NamedMapper category(Spec& spec, const MapperDefaults& defaults) {
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
  return plain(mapper, io::describe(mapper, defaults.categories), hull);
}

NamedMapper logistic(Spec& spec, const MapperDefaults& defaults) {
  const Logistic standard;
  const Logistic mapper(spec.number("midpoint", standard.midpoint()),
                        spec.number("slope", standard.slope()), defaults.linear.envelope());
  return plain(mapper, io::describe(mapper), mapper.envelope());
}

NamedMapper rank(Spec&, const MapperDefaults& defaults) {
  const Interval envelope = defaults.linear.envelope();
  return {[envelope](const SpooledGaps& gaps, const Missing& missing) {
            auto values = gap_values(gaps);
            if (values.empty()) return map_gaps(gaps, Linear(envelope), missing);
            return map_gaps(gaps, Rank(std::move(values), envelope), missing);
          },
          io::describe(Rank({0}, envelope)), envelope};
}

NamedMapper constant(Spec& spec, const MapperDefaults& defaults) {
  const Constant mapper(spec.number("beta"));
  return plain(mapper, io::describe(mapper), defaults.linear.envelope());
}

NamedMapper random_beta(Spec& spec, const MapperDefaults& defaults) {
  const auto seed = spec.seed();
  const Interval envelope = defaults.linear.envelope();
  auto description = io::describe(Rank({0}, envelope));
  description.name = spec.name();
  description.parameters.emplace("seed", seed);
  return {[=](const SpooledGaps& gaps, const Missing& missing) {
            return randomized(map_gaps(gaps, Linear(envelope), missing), seed, envelope);
          },
          std::move(description), envelope};
}

/// Applies a control to the schedule of another mapper: make(schedule, the mapper's envelope).
template <class Control>
NamedMapper control(Spec& spec, const MapperDefaults& defaults, Control make) {
  auto of = choose_mapper(spec.text("of").value_or("linear"), defaults);
  return {[map = std::move(of.map), envelope = of.envelope, make](const SpooledGaps& gaps,
                                                                  const Missing& missing) {
            return make(map(gaps, missing), envelope);
          },
          {spec.name(), {{"of", io::to_json(of.description)}}},
          of.envelope};
}

NamedMapper mean(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults,
                 [](const SpooledSchedule& schedule, Interval) { return averaged(schedule); });
}

NamedMapper inverted_betas(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults, inverted<SpooledSchedule>);
}

NamedMapper shuffled_betas(Spec& spec, const MapperDefaults& defaults) {
  const auto seed = spec.seed();
  auto chosen = control(spec, defaults, [seed](const SpooledSchedule& schedule, Interval) {
    return shuffled(schedule, seed);
  });
  chosen.description.parameters.emplace("seed", seed);
  return chosen;
}

NamedMapper weight(Spec& spec, const MapperDefaults& defaults) {
  return control(spec, defaults,
                 [](const SpooledSchedule& schedule, Interval) { return weighted(schedule); });
}

struct MapperEntry {
  std::string_view name;
  std::string_view keys;
  std::string_view meaning;
  bool uses_envelope;
  bool uses_gap_range;
  NamedMapper (*make)(Spec&, const MapperDefaults&);
};

constexpr MapperEntry mappers[] = {
    {io::part_name<Linear>, "", "linear in the gap, clipped", true, true, linear},
    {io::part_name<ByCategory>, "NAME=LOW..HIGH,...",
     "linear, with separate envelopes for some categories", true, true, category},
    {io::part_name<Logistic>, "midpoint=0.5,slope=8", "S-shaped in the gap", true, false, logistic},
    {io::part_name<Rank>, "", "linear in the gap's rank: a flat histogram", true, false, rank},
    {io::part_name<Constant>, "beta=B", "the same beta for all pairs", false, false, constant},
    {"mean", "of=linear", "control: the mean of another mapper's betas for all pairs", true, true,
     mean},
    {"random", "seed=0", "control: uniform in the envelope, seeded by pair id", true, false,
     random_beta},
    {"shuffled", "seed=0,of=linear", "control: another mapper's betas, permuted among the pairs",
     true, true, shuffled_betas},
    {"inverted", "of=linear", "control: large betas for small gaps", true, true, inverted_betas},
    {"weight", "of=linear", "control: weights beta / mean instead of betas", true, true, weight},
};

}  // namespace

NamedMapper choose_mapper(std::string_view text, const MapperDefaults& defaults) {
  Spec spec(mapper_option, text);
  const auto& entry = find(mappers, mapper_option, spec.name());
  if (defaults.envelope_given && !entry.uses_envelope)
    throw UsageError(fmt::format("{} does not use --envelope", spec.what()));
  if (defaults.gap_range_given && !entry.uses_gap_range)
    throw UsageError(fmt::format("{} does not use --gap-range", spec.what()));
  try {
    auto chosen = entry.make(spec, defaults);
    spec.finish();
    return chosen;
  } catch (const InvalidArgument& error) {
    throw UsageError(fmt::format("{}: {}", spec.what(), error.what()));
  }
}

std::string list_mappers() {
  return list("Mappers, --mapper NAME[:key=value,...]", mappers);
}

namespace {

/// Widens `envelope` by each envelope among the parameters, those of inner mappers included.
void widen(std::optional<Interval>& envelope, const io::Json::Object& parameters) {
  for (const auto& [name, value] : parameters) {
    if (value.object() != nullptr) widen(envelope, *value.object());
    const auto* const ends = value.list();
    if (name != "envelope" || ends == nullptr || ends->size() != 2) continue;
    const auto low = ends->front().number(), high = ends->back().number();
    if (!low || !high) continue;
    if (!envelope) envelope = {*low, *high};
    envelope = {std::min(envelope->low, *low), std::max(envelope->high, *high)};
  }
}

}  // namespace

std::optional<Interval> envelope_of(const io::PartDescription& mapper) {
  std::optional<Interval> envelope;
  widen(envelope, mapper.parameters);
  return envelope;
}

}  // namespace sp2dpo::tool
