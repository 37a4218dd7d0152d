// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <arrow/type_fwd.h>

namespace sp2dpo::io {

/// Appends a row as a JSON object without its nulls. Types that JSON lacks become strings: binary
/// values as base64, others (times, decimals) in Arrow's notation.
void append_row(std::string& to, const arrow::RecordBatch& batch, std::int64_t row);

}  // namespace sp2dpo::io
