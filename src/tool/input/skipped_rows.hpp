// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/io/row_reader.hpp>

namespace sp2dpo::tool {

/// Lists on stderr the rows that a lenient reader left out; prints nothing if it kept all.
void list_skipped(const io::RowReader& reader);

}  // namespace sp2dpo::tool
