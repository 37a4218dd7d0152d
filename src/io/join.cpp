// SPDX-License-Identifier: Apache-2.0
#include <string_view>
#include <utility>

#include "json_rows.hpp"
#include "plain_name.hpp"
#include "text/json_writer.hpp"

#include <sp2dpo/io/entry_matcher.hpp>
#include <sp2dpo/io/join.hpp>
#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::io {

namespace {

/// Reads pairs and exposes the row of the current one.
class PairsWithText : public PairReader {
 public:
  using PairReader::PairReader;

  [[nodiscard]] text::Field row() { return json().row(); }
  [[nodiscard]] std::string_view text() { return json().text(); }
};

void append(text::JsonWriter& json, const ScheduleEntry& entry, const Categories& categories,
            std::string_view schedule_name) {
  json.key("beta").number(entry.beta);
  if (entry.weight) json.key("weight").number(*entry.weight);
  json.key("sp2dpo").open('{');
  json.key("category");
  if (entry.gap)
    json.text(categories.name(entry.gap->category));
  else
    json.raw("null");
  json.key("gap");
  if (entry.gap)
    json.number(entry.gap->value);
  else
    json.raw("null");
  json.key("schedule").text(schedule_name);
  json.close('}');
}

}  // namespace

JoinCounts join_schedule(RowsFrom pairs, const ScheduleView& schedule,
                         const std::filesystem::path& out, const JoinOptions& options) {
  PairsWithText rows(std::move(pairs), options.pairs);
  OutputFile file(plain_name(out));
  const auto is_ours = [&](std::string_view key) {
    return key == "beta" || key == "sp2dpo" || (key == "weight" && schedule.has_weights());
  };
  EntryMatcher entries(schedule, rows);
  JoinCounts counts;
  std::string line;
  for (PreferencePair pair; rows.next(pair);) {
    const ScheduleEntry* const entry = entries.find(pair.id);
    if (entry == nullptr) continue;
    bool replaces = false;
    const text::Field row = rows.row();
    row.each([&](const text::Field& field) {
      if (!is_ours(field.key())) return;
      if (!options.overwrite) field.fail("duplicate column");
      replaces = true;
    });

    line.clear();
    text::JsonWriter json(line);
    if (replaces) {
      json.open('{');
      row.each([&](const text::Field& field) {
        if (is_ours(field.key())) return;
        json.key(field.key());
        field.append_to(line);
      });
    } else {
      line = rows.text();  // the text as it was read, without its closing brace
      line.pop_back();
      json.item();  // the next key needs a comma
    }
    append(json, *entry, schedule.categories(), options.schedule_name);
    json.close('}');
    line += '\n';
    file.write(line);
    ++counts.written;
  }
  counts.unused_entries = entries.finish(options.all_entries);
  file.commit();
  return counts;
}

}  // namespace sp2dpo::io
