// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace sp2dpo::annotate {

/// Bytes that need not be text.
struct Bytes {
  std::string bytes;
};

/// A value of a column.
using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string, Bytes>;

/// A row that is added to the store.
struct Addition {
  enum class Kind : std::uint8_t { request, question, reply, failure, batch };
  Kind kind{};
  std::vector<Value> values{};  // in the order of the columns
};

}  // namespace sp2dpo::annotate
