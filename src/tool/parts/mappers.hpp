// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/spooled_gaps.hpp>

namespace sp2dpo::tool {

/// A mapper or a control by name. It maps all gaps at once, since some depend on all of them.
struct NamedMapper {
  std::function<SpooledSchedule(const SpooledGaps&, const Missing&)> map;
  io::PartDescription description;
  Interval envelope;  ///< the range of the mapped betas
};

struct MapperDefaults {
  Linear linear{};
  bool envelope_given = false;
  bool gap_range_given = false;
  Categories categories{};
};

/// Throws UsageError for an unknown name, key or value and lists the valid ones.
[[nodiscard]] NamedMapper choose_mapper(std::string_view text, const MapperDefaults& defaults);

/// The table for --help: name, keys and meaning of each.
[[nodiscard]] std::string list_mappers();

/// The envelope of the mapper that a manifest describes, around those of the mappers inside it;
/// nullopt if it names none.
[[nodiscard]] std::optional<Interval> envelope_of(const io::PartDescription& mapper);

}  // namespace sp2dpo::tool
