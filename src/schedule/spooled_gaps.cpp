// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <utility>

#include <sp2dpo/schedule/spooled_gaps.hpp>

namespace sp2dpo {

namespace {

/// A pair in the spool; the bytes of its id follow.
struct PairRecord {
  double value;
  double spread;
  std::uint32_t id_size;
  std::int32_t n_annotations;  // of the pair
  std::int32_t n_counted;      // of the gap
  std::int32_t n_annotators;
  Category category;
  bool has_gap;
};

}  // namespace

void SpooledGaps::add(const PairGap& pair) {
  const SemanticGap gap = pair.gap.value_or(SemanticGap{});
  const PairRecord record{.value = gap.value,
                          .spread = gap.spread,
                          .id_size = static_cast<std::uint32_t>(pair.id.size()),
                          .n_annotations = pair.n_annotations,
                          .n_counted = gap.n_annotations,
                          .n_annotators = gap.n_annotators,
                          .category = gap.category,
                          .has_gap = pair.gap.has_value()};
  spool_.append(&record, sizeof record);
  spool_.append(pair.id.data(), pair.id.size());
  ++size_;
  n_missing_ += pair.gap ? 0 : 1;
}

void SpooledGaps::append(SpooledGaps&& other) {
  spool_.append(std::move(other.spool_));
  size_ += std::exchange(other.size_, 0);
  n_missing_ += std::exchange(other.n_missing_, 0);
}

bool SpooledGaps::Cursor::next(PairGap& pair) {
  if (left_ == 0) return false;
  --left_;
  PairRecord record;
  reader_.read(&record, sizeof record);
  pair.id.resize(record.id_size);
  reader_.read(pair.id.data(), record.id_size);
  pair.n_annotations = record.n_annotations;
  pair.gap.reset();
  if (record.has_gap)
    pair.gap = SemanticGap{record.value, record.category, record.n_annotators, record.n_counted,
                           record.spread};
  return true;
}

}  // namespace sp2dpo
