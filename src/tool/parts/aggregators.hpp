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
#include <sp2dpo/schedule/vote_table.hpp>

namespace sp2dpo::tool {

/// An aggregator with its name and parameters for the manifest.
struct NamedAggregator {
  std::function<std::optional<SemanticGap>(std::span<const Annotation>)> aggregate{};
  io::PartDescription description;
  std::vector<io::InputFile> inputs{};  ///< files it was built from, apart from the annotations
  std::string summary{};                ///< lines for the terminal; may be empty
};

/// Builds the aggregator that `NAME[:key=value,…]` selects. Runs after the annotations are read,
/// because some aggregators depend on all annotations.
using AggregatorMaker = std::function<NamedAggregator(const VoteTable& annotations)>;

/// Options of all aggregators.
struct AggregatorDefaults {
  int min_annotators = 1;
  int min_prompts = 1;
  /// Number of categories of this run; not an option.
  std::size_t n_categories = Categories().size();

  void declare(args::Command app);
};

/// Throws UsageError for an unknown name, key or value and lists the valid ones.
[[nodiscard]] AggregatorMaker choose_aggregator(std::string_view text,
                                                const AggregatorDefaults& defaults);

/// The names of the aggregators without required keys.
[[nodiscard]] std::vector<std::string> plain_aggregators();

/// The table for --help: name, keys and meaning of each.
[[nodiscard]] std::string list_aggregators();

}  // namespace sp2dpo::tool
