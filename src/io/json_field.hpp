// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "text/field.hpp"

#include <sp2dpo/io/json.hpp>

namespace sp2dpo::io {

/// The value of a field. Throws DataError for a duplicate key.
[[nodiscard]] Json json_of(const text::Field& field);

}  // namespace sp2dpo::io
