// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <sp2dpo/annotate/teacher.hpp>

namespace sp2dpo::annotate {

/// A teacher that is known by name: where it is, what its server takes. Services that cost have no
/// price here: it would be out of date.
[[nodiscard]] std::optional<Teacher> preset(std::string_view name);

/// The names there are, for messages.
[[nodiscard]] std::string preset_names();

}  // namespace sp2dpo::annotate
