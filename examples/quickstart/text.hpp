// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/schedule/pair.hpp>

namespace quickstart {

/// The vocabulary is the 256 bytes. Two control bytes mark where a response begins and ends.
inline constexpr std::int64_t vocabulary = 256;
inline constexpr char response_begins = '\x02';
inline constexpr char response_ends = '\x03';

/// One sequence as the model reads it: prompt, `response_begins`, response, `response_ends`.
struct Sequence {
  std::string bytes;
  std::size_t response = 0;  ///< index of the response's first byte
};

struct EncodedPair {
  std::string id;
  Sequence chosen;
  Sequence rejected;
  std::int64_t length_difference = 0;  ///< bytes, chosen minus rejected response
};

struct EncodedPairs {
  std::vector<EncodedPair> pairs;
  std::size_t truncated = 0;       ///< pairs longer than the context
  std::int64_t bytes = 0;          ///< of all sequences, without the two marks
  std::int64_t bytes_dropped = 0;  ///< bytes beyond the context
};

/// Returns plain text unchanged, and a conversation with its role before each turn.
[[nodiscard]] std::string render(const sp2dpo::Text& text);

/// Encodes pairs for a model that reads `context` bytes. In a longer pair the prompt keeps its
/// tail, the same one for both responses, and a response keeps its head. The prompt is cut down to
/// half of the context before a response loses a byte.
[[nodiscard]] EncodedPairs encode(std::span<const sp2dpo::PreferencePair> pairs,
                                  std::size_t context);

}  // namespace quickstart
