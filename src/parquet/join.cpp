// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "columns.hpp"
#include "rows.hpp"
#include "writer.hpp"
#include <arrow/array/array_nested.h>

#include <sp2dpo/io/entry_matcher.hpp>
#include <sp2dpo/parquet/join.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::int64_t rows_in_a_group = std::int64_t{1}
                                         << 13;  // small groups, as rows of text are long

arrow::FieldVector struct_fields() {
  return {arrow::field("category", arrow::utf8()), arrow::field("gap", arrow::float64()),
          arrow::field("schedule", arrow::utf8())};
}

arrow::FieldVector added_fields(bool weights) {
  arrow::FieldVector fields{arrow::field("beta", arrow::float64())};
  if (weights) fields.push_back(arrow::field("weight", arrow::float64()));
  fields.push_back(arrow::field("sp2dpo", arrow::struct_(struct_fields())));
  return fields;
}

/// Builds the columns of added_fields() row by row.
class AddedColumns {
 public:
  AddedColumns(const ScheduleView& schedule, const std::string& name)
      : schedule_(schedule), name_(name) {}

  arrow::Status append(const ScheduleEntry& entry) {
    ARROW_RETURN_NOT_OK(beta_.Append(entry.beta));
    if (schedule_.has_weights()) ARROW_RETURN_NOT_OK(weight_.Append(entry.weight.value()));
    ARROW_RETURN_NOT_OK(append_gap(gap_, category_, entry, schedule_.categories()));
    return schedule_name_.Append(name_);
  }

  arrow::Result<arrow::ArrayVector> take() {
    std::vector<arrow::ArrayBuilder*> inner{&category_, &gap_, &schedule_name_};
    ARROW_ASSIGN_OR_RAISE(const auto parts, finish(inner));
    ARROW_ASSIGN_OR_RAISE(auto together, arrow::StructArray::Make(parts, struct_fields()));
    std::vector<arrow::ArrayBuilder*> outer{&beta_};
    if (schedule_.has_weights()) outer.push_back(&weight_);
    ARROW_ASSIGN_OR_RAISE(auto columns, finish(outer));
    columns.push_back(std::move(together));
    return columns;
  }

 private:
  const ScheduleView& schedule_;
  const std::string& name_;
  arrow::DoubleBuilder beta_, weight_, gap_;
  arrow::StringBuilder category_, schedule_name_;
};

}  // namespace

JoinCounts join_parquet_schedule(const std::filesystem::path& pairs, const ScheduleView& schedule,
                                 const std::filesystem::path& out, const JoinOptions& options) {
  auto source = std::make_unique<ParquetRows>(pairs);
  const ParquetRows& rows = *source;
  PairReader reader(std::move(source), options.pairs);

  const arrow::FieldVector added = added_fields(schedule.has_weights());
  std::vector<int> kept;
  arrow::FieldVector fields;
  for (int k = 0; k < rows.schema().num_fields(); ++k) {
    const auto& field = rows.schema().field(k);
    const bool is_ours =
        std::ranges::any_of(added, [&](const auto& one) { return one->name() == field->name(); });
    if (is_ours && !options.overwrite)
      throw DataError(pairs.string(), 0, field->name(), "the column already exists");
    if (is_ours) continue;
    kept.push_back(k);
    fields.push_back(field);
  }
  fields.insert(fields.end(), added.begin(), added.end());
  const auto schema = arrow::schema(std::move(fields), rows.schema().metadata());
  ParquetWriter file(out, schema, rows_in_a_group);

  // Consecutive rows of a batch are written together.
  AddedColumns columns(schedule, options.schedule_name);
  std::shared_ptr<arrow::RecordBatch> batch;
  std::int64_t first = 0;
  std::int64_t length = 0;
  const auto flush = [&] {
    if (length == 0) return;
    arrow::ArrayVector all;
    for (const int k : kept) all.push_back(batch->column(k)->Slice(first, length));
    const auto made = columns.take();
    const auto& own = value_of(made, out);
    all.insert(all.end(), own.begin(), own.end());
    file.write(*arrow::RecordBatch::Make(schema, length, std::move(all)));
    length = 0;
  };

  EntryMatcher entries(schedule, reader);
  JoinCounts counts;
  for (PreferencePair pair; reader.next(pair);) {
    const ScheduleEntry* const entry = entries.find(pair.id);
    if (entry == nullptr) continue;
    if (rows.batch() != batch || rows.place() != first + length) {
      flush();
      batch = rows.batch();
      first = rows.place();
    }
    ++length;
    ++counts.written;
    if (const auto status = columns.append(*entry); !status.ok())
      throw DataError(out.string(), 0, "", "cannot be written: " + status.message());
  }
  flush();
  counts.unused_entries = entries.finish(options.all_entries);
  file.commit();
  return counts;
}

}  // namespace sp2dpo::io
