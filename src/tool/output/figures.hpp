// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "text/json_writer.hpp"

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::tool {

/// A figure of two raters.
struct Paired {
  std::size_t a, b;
  stats::Estimate estimate;
};

/// Figures by the place that they have in the JSON file, such as krippendorff_alpha.nominal.
struct Figures {
  std::map<std::string, std::map<std::string, stats::Estimate>> groups{};
  std::map<std::string, stats::Estimate> single{};
  std::map<std::string, std::vector<Paired>> paired{};
};

/// `{"ci":…,"n":…,"reason":…,"value":…}`
void write_json(text::JsonWriter& json, const stats::Estimate& estimate);

/// The keys of one block, without its braces; sorted by name.
void write_json(text::JsonWriter& json, const Figures& figures,
                const std::vector<std::string>& raters);

/// Value and interval, or why there are none.
[[nodiscard]] std::string shown(const stats::Estimate& estimate);

/// A table of all figures on stdout.
void print(const std::string& title, const Figures& figures,
           const std::vector<std::string>& raters);

}  // namespace sp2dpo::tool
