// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "json_rows.hpp"
#include "plain_name.hpp"
#include "text/json_writer.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/io/row_reader.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::string_view format = "sp2dpo.schedule";
constexpr std::int64_t version = 1;
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t most_votes = std::numeric_limits<int>::max();
constexpr double largest = std::numeric_limits<double>::max();

std::string json_interval(Interval interval) {
  return fmt::format("[{},{}]", json_value(interval.low), json_value(interval.high));
}

void append(text::JsonWriter& json, const PartDescription& part) {
  json.open('{');
  json.key("name").text(part.name);
  if (!part.parameters.empty()) {  // an object without keys has no schema that could be inferred
    json.key("parameters").open('{');
    for (const auto& [name, value] : part.parameters)
      json.key(name).raw(text::canonical_json(value));
    json.close('}');
  }
  json.close('}');
}

/// What the panel's aggregators have in common.
template <class A>
PartDescription panel_part(std::string name, const A& aggregator) {
  PartDescription part{std::move(name),
                       {{"min_annotators", std::to_string(aggregator.min_annotators)},
                        {"min_prompts", std::to_string(aggregator.min_prompts)}}};
  if (!aggregator.category_weights.empty()) {
    std::string& weights = part.parameters["category_weights"];
    text::JsonWriter json(weights);
    json.open('[');
    for (const double weight : aggregator.category_weights) json.item().number(weight);
    json.close(']');
  }
  return part;
}

void append_entry(std::string& line, const ScheduleEntry& entry, const Categories& categories) {
  text::JsonWriter json(line);
  const SemanticGap gap = entry.gap.value_or(SemanticGap{});
  json.open('{');
  json.key("beta").number(entry.beta);
  json.key("category");
  if (entry.gap)
    json.text(categories.name(gap.category));
  else
    json.raw("null");
  if (const auto flag = flag_of(entry); !flag.empty()) {
    json.key("flags").open('[');
    json.item().text(flag);
    json.close(']');
  }
  json.key("gap");
  if (entry.gap)
    json.number(gap.value);
  else
    json.raw("null");
  json.key("id").text(entry.id);
  json.key("n_annotations").integer(gap.n_annotations);
  json.key("n_annotators").integer(gap.n_annotators);
  json.key("spread");
  if (entry.gap)
    json.number(gap.spread);
  else
    json.raw("null");
  if (entry.weight) json.key("weight").number(*entry.weight);
  json.close('}');
  text::require_utf8(line);
  line += '\n';
}

PartDescription part_of(const text::Field& field) {
  PartDescription part;
  field.each([&](const text::Field& inner) {
    if (inner.key() == "name")
      part.name = inner.text();
    else if (inner.key() == "parameters")
      inner.each([&](const text::Field& parameter) {
        part.parameters.emplace(parameter.key(), parameter.json());
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
      input.rows = inner.integer(0, most);
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
      counts.annotations = inner.integer(0, most);
    else if (inner.key() == "clipped_high")
      counts.clipped_high = inner.integer(0, most);
    else if (inner.key() == "clipped_low")
      counts.clipped_low = inner.integer(0, most);
    else if (inner.key() == "missing")
      counts.missing = inner.integer(0, most);
    else if (inner.key() == "pairs")
      counts.pairs = inner.integer(0, most);
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

/// Reads rows, and the manifest where the first row is one.
class ScheduleReader : public RowReader {
 public:
  ScheduleReader(RowsFrom rows, Categories categories)
      : RowReader(std::move(rows), false), categories_(std::move(categories)) {}

  ScheduleFile read() {
    std::vector<ScheduleEntry> entries;
    ScheduleEntry entry;
    while (next_row([&] { return parse(entry); })) entries.push_back(std::move(entry));
    return {Schedule(std::move(entries), std::move(categories_)), std::move(manifest_), sha256()};
  }

 private:
  bool parse(ScheduleEntry& entry) {
    const text::Field row = json().row();
    bool is_manifest = false;
    row.each([&](const text::Field& field) { is_manifest |= field.key() == "format"; });
    if (is_manifest) {
      parse_manifest(row);
      return false;
    }
    parse_entry(row, entry);
    if (rows() == 0) weighted_ = entry.weight.has_value();
    if (entry.weight.has_value() != weighted_)
      row.fail("weight", weighted_ ? "is missing, and the rows before have it"
                                   : "is there, and the rows before have none");
    if (!ids_.add(entry.id)) row.fail("id", fmt::format("the id {} was there before", entry.id));
    return true;
  }

  void parse_manifest(const text::Field& row) {
    if (rows() > 0 || manifest_) row.fail("format", "the manifest must be the first line");
    manifest_.emplace();
    bool versioned = false;
    row.each([&](const text::Field& field) {
      const auto key = field.key();
      if (key == "format") {
        if (field.text() != format)
          field.fail(fmt::format("expected \"{}\", not \"{}\"", format, field.text()));
      } else if (key == "version") {
        if (field.integer(1, most) != version)
          field.fail(fmt::format("this is version {}, and version {} is all that can be read",
                                 field.integer(1, most), version));
        versioned = true;
      } else if (key == "aggregator") {
        manifest_->aggregator = part_of(field);
      } else if (key == "mapper") {
        manifest_->mapper = part_of(field);
      } else if (key == "missing") {
        manifest_->missing = part_of(field);
      } else if (key == "counts") {
        manifest_->counts = counts_of(field);
      } else if (key == "program") {
        manifest_->program = field.text();
      } else if (key == "inputs") {
        field.each_item(
            [&](const text::Field& input) { manifest_->inputs.push_back(input_of(input)); });
      } else if (key == "categories") {
        categories_ = categories_of(field);
      } else {
        field.check();
      }
    });
    if (!versioned) row.fail("version", "is missing");
  }

  void parse_entry(const text::Field& row, ScheduleEntry& entry) {
    entry = {};
    SemanticGap gap;
    bool has_id = false;
    bool has_beta = false;
    bool has_gap = false;
    bool has_category = false;
    row.each([&](const text::Field& field) {
      const auto key = field.key();
      if (key == "id") {
        field.id(entry.id);
        has_id = true;
      } else if (key == "beta") {
        entry.beta = field.number(0, largest);
        if (entry.beta == 0) field.fail("beta must be positive");
        has_beta = true;
      } else if (key == "gap") {
        if (field.is_null()) return;
        gap.value = field.number(-largest, largest);
        has_gap = true;
      } else if (key == "category") {
        if (field.is_null()) return;
        const auto known = categories_.find(field.text());
        if (!known)
          field.fail(fmt::format("unknown category \"{}\"; there are: {}", field.text(),
                                 categories_.list()));
        gap.category = *known;
        has_category = true;
      } else if (key == "n_annotators") {
        gap.n_annotators = static_cast<int>(field.integer(0, most_votes));
      } else if (key == "n_annotations") {
        gap.n_annotations = static_cast<int>(field.integer(0, most_votes));
      } else if (key == "spread") {
        if (!field.is_null()) gap.spread = field.number(0, largest);
      } else if (key == "weight") {
        entry.weight = field.number(0, largest);
      } else if (key == "flags") {
        field.each_item([&](const text::Field& flag) {
          if (flag.text() == "clipped_low") entry.clipped = Clip::low;
          if (flag.text() == "clipped_high") entry.clipped = Clip::high;
        });
      } else {
        field.check();
      }
    });
    if (!has_id) row.fail("id", "is missing");
    if (!has_beta) row.fail("beta", "is missing");
    if (has_gap != has_category)
      row.fail(has_gap ? "category" : "gap", "is missing, or null where the other is not");
    if (has_gap) entry.gap = gap;
  }

  Categories categories_;
  std::optional<ScheduleManifest> manifest_;
  bool weighted_ = false;
  PairIds ids_;
};

}  // namespace

std::string json_value(double number) {
  std::string text;
  text::append_json(text, number);
  return text;
}

std::string json_value(std::string_view text) {
  std::string json;
  text::append_json(json, text);
  return json;
}

std::string json_value(const PartDescription& part) {
  std::string text;
  text::JsonWriter json(text);
  append(json, part);
  return text;
}

PartDescription describe(const Jmamp& aggregator) {
  return panel_part("jmamp", aggregator);
}

PartDescription describe(const MeanMean& aggregator) {
  return panel_part("mean-mean", aggregator);
}

PartDescription describe(const MedianMedian& aggregator) {
  return panel_part("median-median", aggregator);
}

PartDescription describe(const MeanMedian& aggregator) {
  return panel_part("mean-median", aggregator);
}

PartDescription describe(const PooledMedian& aggregator) {
  return panel_part("pooled-median", aggregator);
}

PartDescription describe(const PooledTrimmedMean& aggregator) {
  auto part = panel_part("trimmed-mean", aggregator);
  part.parameters.emplace("share", json_value(aggregator.statistic.share));
  return part;
}

PartDescription describe(const Linear& mapper) {
  return {"linear",
          {{"envelope", json_interval(mapper.envelope())},
           {"gap_range", json_interval(mapper.gap_range())}}};
}

PartDescription describe(const Constant& mapper) {
  return {"constant", {{"beta", json_value(mapper.beta())}}};
}

PartDescription describe(const Logistic& mapper) {
  return {"logistic",
          {{"envelope", json_interval(mapper.envelope())},
           {"midpoint", json_value(mapper.midpoint())},
           {"slope", json_value(mapper.slope())}}};
}

PartDescription describe(const Rank& mapper) {
  return {"rank", {{"envelope", json_interval(mapper.envelope())}}};
}

PartDescription describe(const ByCategory& mapper, const Categories& categories) {
  detail::require(mapper.maps().size() == categories.size(), "there are {} maps for {} categories",
                  mapper.maps().size(), categories.size());
  PartDescription part{"category", {}};
  for (std::size_t i = 0; i < categories.size(); ++i)
    part.parameters.emplace(categories.names()[i], json_value(describe(mapper.maps()[i])));
  return part;
}

PartDescription describe(const Missing& missing) {
  switch (missing.policy) {
    case Missing::Policy::drop:
      return {"drop", {}};
    case Missing::Policy::base_beta:
      return {"base-beta", {{"beta", json_value(missing.beta)}}};
    case Missing::Policy::error:
      break;
  }
  return {"error", {}};
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
  json.key("aggregator");
  append(json, manifest.aggregator);
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
  json.key("mapper");
  append(json, manifest.mapper);
  json.key("missing");
  append(json, manifest.missing);
  json.key("program").text(manifest.program.empty() ? "sp2dpo " SP2DPO_VERSION : manifest.program);
  json.key("version").integer(version);
  json.close('}');
  text::require_utf8(text);
  return text;
}

std::string_view flag_of(const ScheduleEntry& entry) {
  if (!entry.gap) return "missing";
  if (entry.clipped == Clip::none) return "";
  return entry.clipped == Clip::low ? "clipped_low" : "clipped_high";
}

void write_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                    const ScheduleManifest& manifest, const std::filesystem::path& manifest_file) {
  OutputFile file(plain_name(path));
  std::optional<OutputFile> beside;
  if (!manifest_file.empty()) beside.emplace(plain_name(manifest_file));
  (beside ? *beside : file).write(manifest_json(manifest, schedule.categories()) + '\n');

  std::string line;
  schedule.for_each([&](const ScheduleEntry& entry) {
    line.clear();
    append_entry(line, entry, schedule.categories());
    file.write(line);
  });
  if (beside) beside->commit();
  file.commit();
}

ScheduleFile read_schedule(RowsFrom rows, Categories categories) {
  return ScheduleReader(std::move(rows), std::move(categories)).read();
}

}  // namespace sp2dpo::io
