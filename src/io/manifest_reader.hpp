// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "text/field.hpp"

#include <sp2dpo/io/manifest.hpp>

namespace sp2dpo::io {

/// The manifest that `row` holds; its categories replace `categories`. Throws DataError for another
/// format or version, and for fields of a wrong type.
[[nodiscard]] ScheduleManifest read_manifest(const text::Field& row, Categories& categories);

}  // namespace sp2dpo::io
