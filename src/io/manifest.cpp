// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string_view>
#include <utility>

#include "json_field.hpp"
#include "manifest_reader.hpp"
#include "text/json_writer.hpp"

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::string_view format = "sp2dpo.schedule";
constexpr std::int64_t version = 1;
constexpr std::int64_t max_count = std::numeric_limits<std::int64_t>::max();

PartDescription part_of(const text::Field& field) {
  PartDescription part;
  field.each([&](const text::Field& inner) {
    if (inner.key() == "name")
      part.name = inner.text();
    else if (inner.key() == "parameters")
      inner.each([&](const text::Field& parameter) {
        part.parameters.emplace(parameter.key(), json_of(parameter));
      });
    else
      inner.check();
  });
  return part;
}

InputFile input_of(const text::Field& field) {
  InputFile input;
  field.each([&](const text::Field& inner) {
    if (inner.key() == "path")
      input.path = inner.text();
    else if (inner.key() == "role")
      input.role = inner.text();
    else if (inner.key() == "rows")
      input.rows = inner.integer(0, max_count);
    else if (inner.key() == "sha256")
      input.sha256 = inner.text();
    else
      inner.check();
  });
  return input;
}

ScheduleCounts counts_of(const text::Field& field) {
  ScheduleCounts counts;
  field.each([&](const text::Field& inner) {
    if (inner.key() == "annotations")
      counts.annotations = inner.integer(0, max_count);
    else if (inner.key() == "clipped_high")
      counts.clipped_high = inner.integer(0, max_count);
    else if (inner.key() == "clipped_low")
      counts.clipped_low = inner.integer(0, max_count);
    else if (inner.key() == "missing")
      counts.missing = inner.integer(0, max_count);
    else if (inner.key() == "pairs")
      counts.pairs = inner.integer(0, max_count);
    else
      inner.check();
  });
  return counts;
}

Categories categories_of(const text::Field& field) {
  std::vector<std::string> names;
  field.each_item([&](const text::Field& name) { names.emplace_back(name.name()); });
  try {
    return Categories(std::move(names));
  } catch (const InvalidArgument& error) {
    field.fail(error.what());
  }
}

}  // namespace

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
  json.key("format").text(format);
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
  json.key("version").integer(version);
  json.close('}');
  text::require_utf8(text);
  return text;
}

ScheduleManifest read_manifest(const text::Field& row, Categories& categories) {
  ScheduleManifest manifest;
  bool versioned = false;
  row.each([&](const text::Field& field) {
    const auto key = field.key();
    if (key == "format") {
      if (field.text() != format)
        field.fail(fmt::format("expected \"{}\", not \"{}\"", format, field.text()));
    } else if (key == "version") {
      if (field.integer(1, max_count) != version)
        field.fail(fmt::format("unsupported version {}; this build reads version {}",
                               field.integer(1, max_count), version));
      versioned = true;
    } else if (key == "aggregator") {
      manifest.aggregator = part_of(field);
    } else if (key == "mapper") {
      manifest.mapper = part_of(field);
    } else if (key == "missing") {
      manifest.missing = part_of(field);
    } else if (key == "counts") {
      manifest.counts = counts_of(field);
    } else if (key == "program") {
      manifest.program = field.text();
    } else if (key == "inputs") {
      field.each_item(
          [&](const text::Field& input) { manifest.inputs.push_back(input_of(input)); });
    } else if (key == "categories") {
      categories = categories_of(field);
    } else {
      field.check();
    }
  });
  if (!versioned) row.fail("version", "is missing");
  return manifest;
}

}  // namespace sp2dpo::io
