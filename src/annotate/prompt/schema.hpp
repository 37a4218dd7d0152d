// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "text/field.hpp"
#include <simdjson.h>

namespace sp2dpo::annotate {

/// Throws DataError unless the schema is in the subset that strict structured outputs accept and
/// violation() checks: `type`, `properties`, `required` (all of them), `additionalProperties:
/// false`, `items`, `enum` of texts, and `description`.
void check_schema(const text::Field& schema);

/// Returns how a value violates a schema that check_schema() accepted; empty if it does not.
[[nodiscard]] std::string violation(simdjson::dom::element value, simdjson::dom::element schema);

}  // namespace sp2dpo::annotate
