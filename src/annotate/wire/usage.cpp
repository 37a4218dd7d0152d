// SPDX-License-Identifier: Apache-2.0
#include "usage.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace sp2dpo::annotate {
namespace {

using simdjson::dom::element;

/// A count that no reply reaches; sums of two stay far from overflow.
constexpr std::int64_t max_tokens_ever = 1'000'000'000;

enum class Count { absent, valid, invalid };

/// Reads a count, also one that is written as 12.0.
Count read_count(const simdjson::simdjson_result<element>& field, std::int64_t& to) {
  element value;
  if (field.get(value) != simdjson::SUCCESS || value.is_null()) return Count::absent;
  double number = 0;
  if (!value.is_number() || value.get(number) != simdjson::SUCCESS) return Count::invalid;
  if (!(number >= 0 && number < max_tokens_ever && number == std::floor(number)))
    return Count::invalid;
  to = static_cast<std::int64_t>(number);
  return Count::valid;
}

}  // namespace

std::optional<Usage> read_usage(element document, const ChatRequest* request) {
  if (!document.is_object()) return std::nullopt;
  const auto usage = document["usage"];
  Usage read_counts;
  auto& [prompt, completion] = read_counts;
  if (read_count(usage["prompt_tokens"], prompt) != Count::valid ||
      read_count(usage["completion_tokens"], completion) != Count::valid)
    return std::nullopt;

  std::int64_t total = 0;
  std::int64_t reasoning = 0;
  const Count has_total = read_count(usage["total_tokens"], total);
  const Count has_reasoning =
      read_count(usage["completion_tokens_details"]["reasoning_tokens"], reasoning);
  if (has_total == Count::invalid || has_reasoning == Count::invalid) return std::nullopt;
  if (has_total == Count::valid) {
    if (total < prompt + completion || total < prompt + reasoning) return std::nullopt;
    completion = total - prompt;
  } else if (reasoning > completion) {
    completion += reasoning;  // this server counts them apart
  }

  if (request != nullptr && request->max_tokens > 0) {
    // Servers add a system prompt of their own, and some do not count reasoning in max_tokens.
    constexpr std::int64_t slack = 4096;
    const auto bytes = static_cast<std::int64_t>(
        std::max<std::uint64_t>(request->body.size(), request->prompt_bytes));
    if (prompt > bytes + slack || completion > 4 * std::int64_t{request->max_tokens} + slack)
      return std::nullopt;
  }
  return read_counts;
}

}  // namespace sp2dpo::annotate
