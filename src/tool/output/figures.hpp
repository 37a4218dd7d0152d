// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "text/json_writer.hpp"

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::tool {

/// A figure of a pair of raters.
struct Paired {
  std::size_t a, b;
  stats::Estimate estimate;
};

/// Figures by their key in the JSON file, such as krippendorff_alpha.nominal.
struct Figures {
  std::map<std::string, std::map<std::string, stats::Estimate>> groups{};
  std::map<std::string, stats::Estimate> single{};
  std::map<std::string, std::vector<Paired>> paired{};
};

/// Writes `{"ci":…,"n":…,"reason":…,"value":…}`.
void write_json(text::JsonWriter& json, const stats::Estimate& estimate);

/// Writes the figures as sorted keys of an object, without its braces.
void write_json(text::JsonWriter& json, const Figures& figures,
                const std::vector<std::string>& raters);

/// Value and interval, or the reason why they are undefined.
[[nodiscard]] std::string shown(const stats::Estimate& estimate);

/// Prints a table of all figures to stdout.
void print(const std::string& title, const Figures& figures,
           const std::vector<std::string>& raters);

}  // namespace sp2dpo::tool
