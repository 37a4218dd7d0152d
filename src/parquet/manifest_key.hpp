// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace sp2dpo::io {

/// Key of the manifest in a Parquet file's metadata.
inline constexpr const char* manifest_key = "sp2dpo.manifest";

}  // namespace sp2dpo::io
