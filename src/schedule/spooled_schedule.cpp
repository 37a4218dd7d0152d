// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <utility>

#include <sp2dpo/schedule/spooled_schedule.hpp>

namespace sp2dpo {

namespace {

/// An entry in the spool; the bytes of its id follow.
struct EntryRecord {
  double beta;
  double value;
  double spread;
  double weight;
  std::uint32_t id_size;
  std::int32_t n_annotators;
  std::int32_t n_annotations;
  Category category;
  Clip clipped;
  bool has_gap;
};

}  // namespace

void SpooledSchedule::add(const ScheduleEntry& entry) {
  const bool first = size_ == 0;
  const bool weighted = first ? entry.weight.has_value() : weighted_;
  detail::check(entry, first ? entry.id : first_, weighted, categories_);
  if (first) first_ = entry.id;
  weighted_ = weighted;
  const SemanticGap gap = entry.gap.value_or(SemanticGap{});
  const EntryRecord record{.beta = entry.beta,
                           .value = gap.value,
                           .spread = gap.spread,
                           .weight = entry.weight.value_or(0),
                           .id_size = static_cast<std::uint32_t>(entry.id.size()),
                           .n_annotators = gap.n_annotators,
                           .n_annotations = gap.n_annotations,
                           .category = gap.category,
                           .clipped = entry.clipped,
                           .has_gap = entry.gap.has_value()};
  spool_.append(&record, sizeof record);
  spool_.append(entry.id.data(), entry.id.size());
  ++size_;
}

bool SpooledSchedule::Cursor::next(ScheduleEntry& entry) {
  if (left_ == 0) return false;
  --left_;
  EntryRecord record;
  reader_.read(&record, sizeof record);
  entry.id.resize(record.id_size);
  reader_.read(entry.id.data(), record.id_size);
  entry.beta = record.beta;
  entry.clipped = record.clipped;
  entry.gap.reset();
  if (record.has_gap)
    entry.gap = SemanticGap{record.value, record.category, record.n_annotators,
                            record.n_annotations, record.spread};
  entry.weight.reset();
  if (weighted_) entry.weight = record.weight;
  return true;
}

}  // namespace sp2dpo
