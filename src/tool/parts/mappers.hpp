// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/spooled_schedule.hpp>

namespace sp2dpo::tool {

/// A mapper by name. It is given the schedule that Linear made, since some look at all gaps, or at
/// all betas, at once.
struct ChosenMapper {
  std::function<SpooledSchedule(SpooledSchedule)> map;
  io::PartDescription description;
  Interval envelope;  ///< of the betas that may come out
};

struct MapperDefaults {
  Linear linear{};
  bool envelope_given = false;
  bool gap_range_given = false;
  Categories categories{};
};

/// Throws UsageError for a name, key or value that there is not, with those there are.
[[nodiscard]] ChosenMapper choose_mapper(std::string_view text, const MapperDefaults& defaults);

/// The table for people: a line each, name, keys and meaning.
[[nodiscard]] std::string list_mappers();

/// The envelope of the mapper that a manifest describes, around those of the mappers inside it;
/// nullopt if it names none.
[[nodiscard]] std::optional<Interval> envelope_of(const io::PartDescription& mapper);

}  // namespace sp2dpo::tool
