// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include <arrow/array/array_base.h>
#include <arrow/array/builder_base.h>
#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo::io {

/// Appends an entry's gap and category, or two nulls if it has no gap.
inline arrow::Status append_gap(arrow::DoubleBuilder& gap, arrow::StringBuilder& category,
                                const ScheduleEntry& entry, const Categories& categories) {
  if (!entry.gap) {
    ARROW_RETURN_NOT_OK(gap.AppendNull());
    return category.AppendNull();
  }
  ARROW_RETURN_NOT_OK(gap.Append(entry.gap->value));
  return category.Append(categories.name(entry.gap->category));
}

inline arrow::Result<arrow::ArrayVector> finish(std::span<arrow::ArrayBuilder* const> builders) {
  arrow::ArrayVector columns;
  for (auto* const builder : builders) {
    ARROW_ASSIGN_OR_RAISE(auto column, builder->Finish());
    columns.push_back(std::move(column));
  }
  return columns;
}

/// Unwraps an Arrow result, or throws DataError, as when memory runs out.
template <class T>
const T& value_of(const arrow::Result<T>& made, const std::filesystem::path& path) {
  if (!made.ok())
    throw DataError(path.string(), 0, "", "cannot be written: " + made.status().message());
  return *made;
}

}  // namespace sp2dpo::io
