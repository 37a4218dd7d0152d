// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace sp2dpo::io {

/// Values of the manifest's keys `format` and `version`.
inline constexpr std::string_view manifest_format = "sp2dpo.schedule";
inline constexpr std::int64_t manifest_version = 1;

}  // namespace sp2dpo::io
