// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include <simdjson.h>

#include <sp2dpo/schedule/annotator.hpp>
#include <sp2dpo/schedule/pair.hpp>

namespace sp2dpo::annotate {

/// Returns the JSON of the verdict in a judge's text, or why the text has none (docs/prompts.md has
/// the rules). Takes time linear in the sizes of text and pair.
[[nodiscard]] std::variant<std::string, AnnotationFailure> find_verdict(
    std::string_view text, simdjson::dom::element schema, const PreferencePair& pair);

}  // namespace sp2dpo::annotate
