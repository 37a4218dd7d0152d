// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <args.hpp>

#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/schedule/schedule_builder.hpp>

namespace sp2dpo::tool {

/// An aggregator, with what the manifest says of it.
struct MadeAggregator {
  std::function<std::optional<SemanticGap>(std::span<const Annotation>)> aggregate{};
  io::PartDescription description;
  std::vector<io::InputFile> inputs{};  ///< files that it was made of, beside the annotations
  std::string summary{};                ///< lines for people; empty: nothing to say
};

/// An aggregator by name, `NAME[:key=value,…]`. It is made when the annotations are there, since
/// some look at all of them before they can aggregate one pair's.
struct ChosenAggregator {
  std::function<MadeAggregator(const ScheduleBuilder& annotations)> make;
};

/// What all of them are told.
struct AggregatorDefaults {
  int min_annotators = 1;
  int min_prompts = 1;
  /// Not an option: as many as the run has.
  std::size_t n_categories = Categories().size();

  void declare(args::Command app);
};

/// Throws UsageError for a name, key or value that there is not, with those there are.
[[nodiscard]] ChosenAggregator choose_aggregator(std::string_view text,
                                                 const AggregatorDefaults& defaults);

/// The names of the aggregators that need no key.
[[nodiscard]] std::vector<std::string> plain_aggregators();

/// The table for people: a line each, name, keys and meaning.
[[nodiscard]] std::string list_aggregators();

}  // namespace sp2dpo::tool
