// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "json_rows.hpp"
#include "manifest_reader.hpp"
#include "plain_name.hpp"
#include "text/json_writer.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/io/row_reader.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::int64_t max_votes = std::numeric_limits<int>::max();
constexpr double largest = std::numeric_limits<double>::max();

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

/// Reads a schedule's rows, and its manifest if the first row is one.
class ScheduleReader : public RowReader {
 public:
  ScheduleReader(RowsFrom rows, Categories categories)
      : RowReader(std::move(rows), false), schedule_({}, std::move(categories)) {}

  ScheduleFile read() {
    ScheduleEntry entry;
    while (next_row([&] { return parse(entry); })) schedule_.add(std::move(entry));
    return {std::move(schedule_), std::move(manifest_), sha256()};
  }

 private:
  bool parse(ScheduleEntry& entry) {
    const text::Field row = json().row();
    bool is_manifest = false;
    row.each([&](const text::Field& field) { is_manifest |= field.key() == "format"; });
    if (is_manifest) {
      if (rows() > 0 || manifest_) row.fail("format", "the manifest must be the first line");
      Categories categories = schedule_.categories();
      manifest_ = read_manifest(row, categories);
      schedule_ = Schedule({}, std::move(categories));
      return false;
    }
    parse_entry(row, entry);
    if (schedule_.size() > 0 && entry.weight.has_value() != schedule_.has_weights())
      row.fail("weight", entry.weight ? "is present, but earlier rows lack it"
                                      : "is missing, but earlier rows have it");
    if (schedule_.find(entry.id) != nullptr)
      row.fail("id", fmt::format("duplicate id {}", entry.id));
    return true;
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
        const auto known = schedule_.categories().find(field.text());
        if (!known)
          field.fail(fmt::format("unknown category \"{}\"; expected one of: {}", field.text(),
                                 schedule_.categories().list()));
        gap.category = *known;
        has_category = true;
      } else if (key == "n_annotators") {
        gap.n_annotators = static_cast<int>(field.integer(0, max_votes));
      } else if (key == "n_annotations") {
        gap.n_annotations = static_cast<int>(field.integer(0, max_votes));
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
      row.fail(has_gap ? "category" : "gap",
               fmt::format("is missing or null, but {} is not", has_gap ? "gap" : "category"));
    if (has_gap) entry.gap = gap;
  }

  Schedule schedule_;
  std::optional<ScheduleManifest> manifest_;
};

}  // namespace

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
