// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {

/// An aggregator by name, `NAME[:key=value,…]`.
struct ChosenAggregator {
  std::function<std::optional<SemanticGap>(std::span<const Annotation>)> aggregate;
  io::PartDescription description;
};

/// What all of them are told.
struct AggregatorDefaults {
  int min_annotators = 1;
  int min_prompts = 1;
};

/// A mapper by name. It is given the schedule that Linear made, since some look at all gaps, or at
/// all betas, at once.
struct ChosenMapper {
  std::function<Schedule(Schedule)> map;
  io::PartDescription description;
  Interval envelope;  ///< of the betas that may come out
};

struct MapperDefaults {
  Linear linear{};
  bool envelope_given = false;
  bool gap_range_given = false;
  Categories categories{};
};

/// Both throw UsageError for a name, key or value that there is not, with those there are.
[[nodiscard]] ChosenAggregator choose_aggregator(std::string_view text,
                                                 const AggregatorDefaults& defaults);
[[nodiscard]] ChosenMapper choose_mapper(std::string_view text, const MapperDefaults& defaults);

/// The tables for people: a line each, name, keys and meaning.
[[nodiscard]] std::string list_aggregators();
[[nodiscard]] std::string list_mappers();

}  // namespace sp2dpo::tool
