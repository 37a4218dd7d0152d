// SPDX-License-Identifier: Apache-2.0
#include "manifest_reader.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "json_field.hpp"
#include "manifest_format.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::io {

namespace {

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

ScheduleManifest read_manifest(const text::Field& row, Categories& categories) {
  ScheduleManifest manifest;
  bool versioned = false;
  row.each([&](const text::Field& field) {
    const auto key = field.key();
    if (key == "format") {
      if (field.text() != manifest_format)
        field.fail(fmt::format("expected \"{}\", not \"{}\"", manifest_format, field.text()));
    } else if (key == "version") {
      if (field.integer(1, max_count) != manifest_version)
        field.fail(fmt::format("unsupported version {}; this build reads version {}",
                               field.integer(1, max_count), manifest_version));
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
