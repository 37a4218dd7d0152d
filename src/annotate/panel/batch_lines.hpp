// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Names in and of batch files.
namespace sp2dpo::annotate {

/// Returns the name with every unusual character replaced, for use in a file name.
[[nodiscard]] std::string batch_file_name(std::string_view name);

/// Splits a custom_id, `KEY` or `KEY.N`, into the request's key and its ask. Empty for any other.
[[nodiscard]] std::optional<std::pair<std::string, int>> parse_custom_id(std::string_view id);

}  // namespace sp2dpo::annotate
