// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "columns.hpp"
#include "manifest_key.hpp"
#include "writer.hpp"
#include <arrow/array/builder_nested.h>
#include <arrow/util/key_value_metadata.h>

#include <sp2dpo/parquet/schedule.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::size_t rows_at_a_time = std::size_t{1} << 14;
constexpr std::int64_t rows_in_a_group = std::int64_t{1} << 20;

arrow::FieldVector fields(bool weights) {
  arrow::FieldVector fields{arrow::field("beta", arrow::float64(), false),
                            arrow::field("category", arrow::utf8()),
                            arrow::field("flags", arrow::list(arrow::utf8())),
                            arrow::field("gap", arrow::float64()),
                            arrow::field("id", arrow::utf8(), false),
                            arrow::field("n_annotations", arrow::int64(), false),
                            arrow::field("n_annotators", arrow::int64(), false),
                            arrow::field("spread", arrow::float64())};
  if (weights) fields.push_back(arrow::field("weight", arrow::float64(), false));
  return fields;
}

arrow::Status append_flags(arrow::ListBuilder& flags, const ScheduleEntry& entry) {
  const auto flag = flag_of(entry);
  if (flag.empty()) return flags.AppendNull();
  ARROW_RETURN_NOT_OK(flags.Append());
  return static_cast<arrow::StringBuilder*>(flags.value_builder())->Append(flag);
}

arrow::Result<arrow::ArrayVector> columns(std::span<const ScheduleEntry> entries,
                                          const Categories& categories, bool weights) {
  arrow::DoubleBuilder beta, gap, spread, weight;
  arrow::StringBuilder category, id;
  arrow::Int64Builder n_annotations, n_annotators;
  arrow::ListBuilder flags(arrow::default_memory_pool(), std::make_shared<arrow::StringBuilder>());
  for (const auto& entry : entries) {
    const SemanticGap counts = entry.gap.value_or(SemanticGap{});
    ARROW_RETURN_NOT_OK(beta.Append(entry.beta));
    ARROW_RETURN_NOT_OK(append_gap(gap, category, entry, categories));
    ARROW_RETURN_NOT_OK(append_flags(flags, entry));
    ARROW_RETURN_NOT_OK(id.Append(entry.id));
    ARROW_RETURN_NOT_OK(n_annotations.Append(counts.n_annotations));
    ARROW_RETURN_NOT_OK(n_annotators.Append(counts.n_annotators));
    ARROW_RETURN_NOT_OK(entry.gap ? spread.Append(counts.spread) : spread.AppendNull());
    if (weights) ARROW_RETURN_NOT_OK(weight.Append(entry.weight.value()));
  }
  std::vector<arrow::ArrayBuilder*> builders{&beta, &category,      &flags,        &gap,
                                             &id,   &n_annotations, &n_annotators, &spread};
  if (weights) builders.push_back(&weight);
  return finish(builders);
}

}  // namespace

void write_parquet_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                            const ScheduleManifest& manifest,
                            const std::filesystem::path& manifest_file) {
  auto schema = arrow::schema(fields(schedule.has_weights()));
  const std::string json = manifest_json(manifest, schedule.categories());
  std::optional<OutputFile> beside;
  if (manifest_file.empty()) {
    schema = schema->WithMetadata(arrow::key_value_metadata({manifest_key}, {json}));
  } else {
    beside.emplace(manifest_file);
    beside->write(json + '\n');
  }

  ParquetWriter file(path, schema, rows_in_a_group);
  std::vector<ScheduleEntry> some;
  const auto flush = [&] {
    const auto made = columns(some, schedule.categories(), schedule.has_weights());
    file.write(*arrow::RecordBatch::Make(schema, std::ssize(some), value_of(made, path)));
    some.clear();
  };
  schedule.for_each([&](const ScheduleEntry& entry) {
    some.push_back(entry);
    if (some.size() == rows_at_a_time) flush();
  });
  if (!some.empty()) flush();
  if (beside) beside->commit();
  file.commit();
}

}  // namespace sp2dpo::io
