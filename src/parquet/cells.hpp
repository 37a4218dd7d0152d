// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <arrow/type_fwd.h>

namespace sp2dpo::io {

/// A row as a JSON object without its nulls. Types that JSON lacks become text: binary ones as
/// base64, the others (times, decimals) as Arrow writes them.
void append_row(std::string& to, const arrow::RecordBatch& batch, std::int64_t row);

}  // namespace sp2dpo::io
