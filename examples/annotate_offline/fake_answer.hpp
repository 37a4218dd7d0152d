// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sp2dpo::annotate::test {

/// FNV-1a, 64 bit.
[[nodiscard]] std::uint64_t hash_of(std::string_view text, std::uint64_t seed = 0);

/// A JSON string literal of it; bytes that are no UTF-8 stay as they are.
[[nodiscard]] std::string json_text(std::string_view text);

/// What a completion is made of.
struct Completion {
  std::string model;
  std::string content;
  std::int64_t prompt_tokens;

  [[nodiscard]] std::string json(std::uint64_t hash) const;
};

/// The answer to a request's body. Throws std::invalid_argument where it is no chat request.
[[nodiscard]] Completion complete(std::string_view body);

}  // namespace sp2dpo::annotate::test
