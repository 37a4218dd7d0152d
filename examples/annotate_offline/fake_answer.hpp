// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sp2dpo::annotate::test {

/// Returns the 64-bit FNV-1a hash of the bytes.
[[nodiscard]] std::uint64_t hash_of(std::string_view text, std::uint64_t seed = 0);

/// Returns the text as a JSON string literal. Bytes that are not UTF-8 stay as they are.
[[nodiscard]] std::string json_text(std::string_view text);

/// The parts of a chat completion.
struct Completion {
  std::string model;
  std::string content;
  std::int64_t prompt_tokens;

  [[nodiscard]] std::string json(std::uint64_t hash) const;
};

/// Returns the reply to a request's body. Throws std::invalid_argument unless it is a chat request.
[[nodiscard]] Completion complete(std::string_view body);

}  // namespace sp2dpo::annotate::test
