// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "text/field.hpp"
#include <simdjson.h>

namespace sp2dpo::annotate {

/// Throws DataError unless the schema is of the subset that strict structured outputs take, and all
/// of its words are ones that violation() looks at: `type`, `properties`, `required` (all of them),
/// `additionalProperties: false`, `items`, `enum` of texts, and `description`.
void check_schema(const text::Field& schema);

/// What is wrong with a value by a schema that check_schema() let pass; empty where nothing is.
[[nodiscard]] std::string violation(simdjson::dom::element value, simdjson::dom::element schema);

}  // namespace sp2dpo::annotate
