// SPDX-License-Identifier: Apache-2.0
#include "output/made_with.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include <simdjson.h>

namespace sp2dpo::tool {

namespace {

using simdjson::dom::element;

void widen(std::optional<Interval>& envelope, std::string_view name, const element& value) {
  if (simdjson::dom::object object; value.get(object) == simdjson::SUCCESS) {
    for (const auto [key, inner] : object) widen(envelope, key, inner);
    return;
  }
  double low{}, high{};
  if (name != "envelope" || value.at_pointer("/0").get(low) != simdjson::SUCCESS ||
      value.at_pointer("/1").get(high) != simdjson::SUCCESS)
    return;
  if (!envelope) envelope = {low, high};
  envelope = {std::min(envelope->low, low), std::max(envelope->high, high)};
}

}  // namespace

Interval envelope_of(const io::ScheduleManifest& manifest) {
  std::optional<Interval> envelope;
  simdjson::dom::parser parser;
  for (const auto& [name, value] : manifest.mapper.parameters)
    if (element parsed; parser.parse(value).get(parsed) == simdjson::SUCCESS)
      widen(envelope, name, parsed);
  return envelope.value_or(Linear::default_envelope);
}

std::vector<report::ReliabilitySeries> reliability_of(const io::ScheduleManifest& manifest) {
  std::vector<report::ReliabilitySeries> series;
  if (manifest.aggregator.name != "calibrated") return series;
  simdjson::dom::parser parser;
  for (const auto& [key, name] :
       {std::pair{"before", "gap as it is"}, {"after", "calibrated, cross-validated"}}) {
    const auto found = manifest.aggregator.parameters.find(key);
    simdjson::dom::array points;
    if (found == manifest.aggregator.parameters.end() ||
        parser.parse(found->second)["points"].get(points) != simdjson::SUCCESS)
      continue;
    report::ReliabilitySeries one{name, {}};
    for (const auto point : points) {
      stats::ReliabilityBin bin;
      if (point["n"].get(bin.n) == simdjson::SUCCESS &&
          point["right"].get(bin.right) == simdjson::SUCCESS &&
          point["stated"].get(bin.score) == simdjson::SUCCESS)
        one.bins.push_back(bin);
    }
    if (!one.bins.empty()) series.push_back(std::move(one));
  }
  return series;
}

}  // namespace sp2dpo::tool
