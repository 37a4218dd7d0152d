// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <sp2dpo/schedule/beta_mapper.hpp>

namespace sp2dpo::tool {

/// The finite number or the interval `LOW,HIGH` that the text spells. Throws UsageError naming the
/// option for any other text.
[[nodiscard]] double parse_number(std::string_view option, std::string_view text);
[[nodiscard]] Interval parse_interval(std::string_view option, std::string_view text);

}  // namespace sp2dpo::tool
