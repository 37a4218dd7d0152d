// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "text/json_writer.hpp"

#include <sp2dpo/report/checks.hpp>

namespace sp2dpo::tool {

/// Returns a line with the check's result and sentence, and one with its remedy, coloured if
/// `stdout` is a terminal.
[[nodiscard]] std::string shown(const report::Finding& check);

/// Writes the checks as an array of objects.
void write_json(text::JsonWriter& json, std::span<const report::Finding> checks);

}  // namespace sp2dpo::tool
