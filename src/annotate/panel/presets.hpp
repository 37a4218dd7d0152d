// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <sp2dpo/annotate/judge.hpp>

namespace sp2dpo::annotate {

/// Returns the judge known by this name: its address and what its server accepts. Presets of paid
/// services carry no price, since it would be out of date.
[[nodiscard]] std::optional<Judge> preset(std::string_view name);

/// Returns all names, separated by commas, for messages.
[[nodiscard]] std::string preset_names();

}  // namespace sp2dpo::annotate
