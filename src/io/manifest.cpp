// SPDX-License-Identifier: Apache-2.0
#include "manifest_format.hpp"
#include "text/json_writer.hpp"

#include <sp2dpo/io/manifest.hpp>

namespace sp2dpo::io {

Json to_json(const PartDescription& part) {
  Json::Object object{{"name", part.name}};
  // Schema inference fails on objects without keys.
  if (!part.parameters.empty()) object.emplace("parameters", part.parameters);
  return object;
}

ScheduleCounts count(const ScheduleView& schedule, std::int64_t pairs, std::int64_t annotations) {
  ScheduleCounts counts{.pairs = pairs,
                        .annotations = annotations,
                        .missing = pairs - static_cast<std::int64_t>(schedule.size())};
  schedule.for_each([&](const ScheduleEntry& entry) {
    counts.missing += entry.gap ? 0 : 1;
    counts.clipped_low += entry.clipped == Clip::low ? 1 : 0;
    counts.clipped_high += entry.clipped == Clip::high ? 1 : 0;
  });
  return counts;
}

std::string manifest_json(const ScheduleManifest& manifest, const Categories& categories) {
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  json.key("aggregator").raw(to_json(manifest.aggregator).text());
  json.key("categories").open('[');
  for (const auto& name : categories.names()) json.item().text(name);
  json.close(']');
  json.key("counts").open('{');
  json.key("annotations").integer(manifest.counts.annotations);
  json.key("clipped_high").integer(manifest.counts.clipped_high);
  json.key("clipped_low").integer(manifest.counts.clipped_low);
  json.key("missing").integer(manifest.counts.missing);
  json.key("pairs").integer(manifest.counts.pairs);
  json.close('}');
  json.key("format").text(manifest_format);
  json.key("inputs").open('[');
  for (const auto& input : manifest.inputs) {
    json.item().open('{');
    json.key("path").text(input.path);
    json.key("role").text(input.role);
    json.key("rows").integer(input.rows);
    json.key("sha256").text(input.sha256);
    json.close('}');
  }
  json.close(']');
  json.key("mapper").raw(to_json(manifest.mapper).text());
  json.key("missing").raw(to_json(manifest.missing).text());
  json.key("program").text(manifest.program.empty() ? "sp2dpo " SP2DPO_VERSION : manifest.program);
  json.key("version").integer(manifest_version);
  json.close('}');
  text::require_utf8(text);
  return text;
}

}  // namespace sp2dpo::io
